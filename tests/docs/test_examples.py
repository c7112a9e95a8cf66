"""The example plugins: short, and their own tests pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


@pytest.mark.parametrize("name", ["hypervisor-cloudevents", "hypervisor-webhook"])
def test_tests_of_an_example_pass(name: str) -> None:
    folder = EXAMPLES / name

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", folder, "-W", "error", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/src/*.py")), ids=lambda file: file.stem)
def test_example_is_read_at_one_glance(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 60
