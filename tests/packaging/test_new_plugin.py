"""What ``hvobs new-plugin`` writes is clean; these tools are where our own code is checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor_observability.cli.new_plugin.package import KINDS
from tests.commands import run_hvobs


@pytest.mark.parametrize("kind", KINDS)
def test_package_of_each_kind_is_clean(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run_hvobs("new-plugin", "my-own", "--kind", kind)
    assert made.exit_code == 0, made.output
    folder = tmp_path / "hypervisor-my-own"

    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        checked = subprocess.run(
            [sys.executable, "-m", *tool],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder / "src")},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
