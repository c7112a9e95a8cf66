"""The tests of agent-hypervisor itself pass while the source looks on, exactly as without it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability import EventType
from tests.programs import found_or_skip, run

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
VERSION = "3.7.0"

UNSEEN = {"liability.quarantine_released", "vfs.conflict"}
"""Types that nothing in those tests makes; see docs/sources/agent-hypervisor.md."""


@pytest.fixture(scope="module")
def suite() -> Path:
    """A folder with what the published sdist holds, and with what its tests need."""
    folder = REPOSITORY / ".cache" / f"agent-hypervisor-{VERSION}-suite"

    def find() -> Path | None:
        if folder.is_dir():
            return folder
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--retries", "1"]
        sdist = ["download", "--no-deps", "--no-binary", ":all:", f"agent-hypervisor=={VERSION}"]
        # Beside the environment: in it, every test would have this plugin on.
        needed = ["install", "--no-deps", "pytest-asyncio==1.5.0"]
        done = [
            subprocess.run([*pip, *command, where, str(unfinished / name)], check=False).returncode
            for command, where, name in ((sdist, "--dest", "sdist"), (needed, "--target", "needed"))
        ]
        if any(done):
            shutil.rmtree(unfinished, ignore_errors=True)
            return None
        (archive,) = (unfinished / "sdist").glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(unfinished, filter="data")
        unfinished.rename(folder)
        return folder

    return found_or_skip(
        f"the tests of agent-hypervisor {VERSION}", find, "The test fetches them from a registry."
    )


def outcome_of(suite: Path, *options: str, seen: Path) -> list[str]:
    """Run the tests of theirs; give how each of them ended, in their order."""
    folder = suite / f"agent_hypervisor-{VERSION}"
    done = run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *options, "tests"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(suite / "needed")]),
            "HVOBS_SEEN": str(seen),
        },
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return re.findall(r"^(tests/\S+ (?:PASSED|SKIPPED|FAILED|ERROR))", done.stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def watched(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    seen = tmp_path_factory.mktemp("suite") / "seen.json"
    plugin = "their_suite"  # they have a package `tests`, too
    outcomes = outcome_of(suite, "-p", plugin, seen=seen)
    return outcomes, json.loads(seen.read_text())


def test_tests_of_theirs_pass_while_the_source_looks_on(watched: tuple[list[str], Any]) -> None:
    outcomes, _ = watched

    assert sum(one.endswith("PASSED") for one in outcomes) == 770
    assert sum(one.endswith("SKIPPED") for one in outcomes) == 60
    assert len(outcomes) == 830


def test_tests_of_theirs_end_exactly_as_without_the_source(
    suite: Path, watched: tuple[list[str], Any], tmp_path: Path
) -> None:
    assert watched[0] == outcome_of(suite, seen=tmp_path / "none.json")


def test_nearly_every_type_is_seen_and_every_payload_is_valid(
    watched: tuple[list[str], Any],
) -> None:
    _, seen = watched

    assert {kind.value for kind in EventType} - set(seen["types"]) == UNSEEN
    assert sum(seen["types"].values()) > 2_000
    assert seen["problems"] == []
    assert seen["source"] == {"state": "running", "errors": 0}
