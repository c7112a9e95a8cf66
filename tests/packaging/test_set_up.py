"""The set-up says what is being installed, and ends where something cannot be."""

import subprocess
from pathlib import Path

import pytest

from tests.packaging.environments import REPOSITORY

# Prints what pip prints of a distribution that is fetched and cannot be built.
PIP = """#!/bin/sh
echo "Collecting acme>=2.0"
echo "  Downloading acme-2.0.tar.gz"
echo "error: metadata-generation-failed" >&2
exit 7
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose pip installs nothing."""
    python = tmp_path / "environment/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP)
    python.chmod(0o755)
    return tmp_path / "environment"


def test_what_cannot_be_installed_ends_the_set_up_with_the_code_of_pip(environment: Path) -> None:
    programs = environment.parent / "programs"
    programs.mkdir()
    (programs / "date").write_text("#!/bin/sh\necho 1\n")
    (programs / "date").chmod(0o755)

    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'set -eu; . scripts/environments.sh; install_into "$0" acme',
            environment,
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PATH": str(programs)},  # without uv
    )

    assert done.returncode == 7
    assert sorted(done.stderr.splitlines()) == [
        "    0 s  fetching acme>=2.0",
        "error: metadata-generation-failed",
    ]
