"""What a system without the functions of POSIX has of the distributions: all can be imported."""

from pathlib import Path

import pytest

from tests.programs import run_python

# As on Windows: modules that CPython does not have there, and names of `os` (documented there as
# "Availability: Unix").
WITHOUT = """
import importlib, os, pkgutil, sys

for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_TMPFILE", "SEEK_DATA", "fchmod",
    "fdatasync", "fork", "geteuid", "posix_fallocate", "pread", "pwrite", "register_at_fork",
    "statvfs",
):
    if hasattr(os, name):
        delattr(os, name)
"""

IMPORTS = (
    WITHOUT
    + """
def modules_of(name):
    yield name
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        yield found.name

for name in modules_of(sys.argv[1]):
    if name not in sys.argv[2:]:
        importlib.import_module(name)
        print(name)
"""
)

# Its package for the protocol looks at sys.platform, and needs fcntl where that is not Windows.
# Nothing imports it but the command, which says what is missing.
OF_AN_EXTRA = "hypervisor_web.mcp.server"

JOURNAL = (
    WITHOUT
    + """
import sys
from pathlib import Path

from click.testing import CliRunner
from hypervisor_observability import Config, ConfigError, Observability
from hypervisor_observability.cli.main import hvobs

folder = sys.argv[1]
try:
    Observability(Config(plugins={"journal": {"directory": folder}}))
except ConfigError as error:
    print(error)
file = Path(folder, "hypervisor.toml")
file.write_text(f"[plugins.journal]\\ndirectory = '{folder}'\\n")
for arguments in (
    ["check", "--config", str(file)],
    ["query", "--journal", folder],
    ["journal", "verify", "--journal", folder],
):
    done = CliRunner().invoke(hvobs, arguments)
    print(done.exit_code, " ".join(done.stderr.split()))
"""
)


@pytest.mark.parametrize(
    "package",
    [
        "hypervisor_observability",
        "hypervisor_journal",
        "hypervisor_prometheus",
        "hypervisor_otel",
        "hypervisor_statsd",
        "hypervisor_jaeger",
        "hypervisor_genai",
        "hypervisor_langchain",
        "hypervisor_openai_agents",
        "hypervisor_nats",
        "hypervisor_web",
    ],
)
def test_every_module_can_be_imported_without_posix(package: str) -> None:
    done = run_python(IMPORTS, package, OF_AN_EXTRA)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) > 1


def test_journal_says_what_it_needs_where_it_is_turned_on(tmp_path: Path) -> None:
    done = run_python(JOURNAL, tmp_path, check=True)

    told = done.stdout.splitlines()
    needed = "the journal needs Linux or macOS: this system has no flock"
    usage = "Usage: hvobs journal verify [OPTIONS] Try 'hvobs journal verify --help' for help."
    assert told == [
        f"Config(...): plugins.journal: {needed}",
        f"2 {tmp_path / 'hypervisor.toml'}:1: plugins.journal: {needed}",
        f"2 --journal: plugins.journal: {needed}",
        f"2 {usage} Error: {needed}",
    ]
