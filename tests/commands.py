"""The command ``hvobs``, in this process and in one of its own."""

import sys
from typing import Any

from click.testing import CliRunner, Result

from hypervisor_observability.cli.main import hvobs

HVOBS = (sys.executable, "-c", "from hypervisor_observability.cli.main import main; main()")
"""What starts the command as a process."""


def run_hvobs(*arguments: object, **options: Any) -> Result:
    """Run ``hvobs`` with *arguments* in this process; *options* are those of click's runner."""
    return CliRunner().invoke(hvobs, [*map(str, arguments)], **options)
