"""Who delivers what a dead run has left: one process, whoever looks meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

from hypervisor_journal.runs.claims import Claims, is_claimed
from hypervisor_journal.runs.runs import Run, new_run
from tests.plugins.journal.calls import descriptors

RUN = "20260101T000000.000000Z-" + "ab" * 16

LOOKING = """
import sys
from pathlib import Path
from hypervisor_journal.runs.runs import Run
run = Run(Path(sys.argv[1]))
print("looking", flush=True)
while True:
    run.is_alive()
"""
CLAIMING = """
import sys
from pathlib import Path
from hypervisor_journal.runs.claims import Claims
directory = Path(sys.argv[1])
claims = Claims(directory)
print(sum(claims.take(run) for run in sorted(directory.iterdir()) if run.is_dir()), flush=True)
sys.stdin.read()
"""


def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_run_is_claimed_once_and_free_when_the_process_dies(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"20260101T00000{number}.000000Z-{'ab' * 16}").mkdir()
    other = start(CLAIMING, tmp_path)
    assert line_of(other) == "5"
    runs = [path for path in sorted(tmp_path.iterdir()) if path.is_dir()]
    claims = Claims(tmp_path)

    assert not any(claims.take(run) for run in runs)
    assert all(map(is_claimed, runs))
    other.kill()
    other.communicate(timeout=60)
    assert not any(map(is_claimed, runs))
    assert all(claims.take(run) for run in runs)
    claims.release(runs[0])
    assert [is_claimed(run) for run in runs] == [False, True, True, True, True]
    claims.close()


def test_many_claims_take_one_descriptor(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    before = descriptors()
    assert all(claims.take(tmp_path / str(number)) for number in range(500))

    assert descriptors() == before + 1
    claims.close()
    assert descriptors() == before


def test_who_looks_is_in_nobodys_way(tmp_path: Path) -> None:
    """A claim never fails because another process asks whether the run lives."""
    run, held = new_run(tmp_path)
    held.close()
    lookers = [start(LOOKING, run.path) for _ in range(2)]
    for looker in lookers:
        assert line_of(looker) == "looking"
    try:
        for _ in range(2_000):
            claims = Claims(tmp_path)
            assert not run.is_written()
            assert claims.take(run.path)
            assert Run(run.path).is_alive()
            claims.close()
    finally:
        for looker in lookers:
            looker.kill()
            looker.communicate(timeout=60)


def test_a_childs_descriptor_is_not_its_own_claim(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    assert claims.take(tmp_path / RUN)
    child = os.fork()
    if child == 0:
        claims.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert is_claimed(tmp_path / RUN)
    claims.close()
