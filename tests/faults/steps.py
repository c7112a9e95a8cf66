"""An exception at every instruction of emitting, rotating, syncing, draining and closing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.faults.figure import Figure

_TESTS = Path(__file__).parents[1] / "core" / "test_interruptions.py"
_TRIED = re.compile(r"tried (\d+) instructions")
_QUICK_EVERY = 101


def steps(*, quick: bool) -> Iterable[Figure]:
    """Run the tests that raise at some instructions, with all of them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "--timeout=7200", str(_TESTS)],
        env={**os.environ, "HVOBS_TEST_EVERY_STEP": str(_QUICK_EVERY if quick else 1)},
        cwd=_TESTS.parent.parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=3_500,
    )
    tried = sum(map(int, _TRIED.findall(done.stdout)))
    if done.returncode:
        sys.stderr.write(done.stdout)
    yield Figure(
        fault="C10",
        what=f"an exception at each of {tried:,} instructions of emit, rotation, sync, drain and "
        "close, each followed by 100 events: kinds of work in which one was not accounted for",
        value=str(len(re.findall(r"^FAILED", done.stdout, re.MULTILINE))),
        goal="0",
        holds=done.returncode == 0 and tried > 0,
    )
