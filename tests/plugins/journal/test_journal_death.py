"""What ``append`` accepted is on the disk when its process dies, at whatever moment."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_journal.proof.verification import Verdict, verify
from tests.plugins.journal.journals import found_in, only_run
from tests.plugins.journal.workloads import start_workload, strace_or_skip, told


@pytest.mark.fault("J1")
@pytest.mark.slow
def test_what_was_accepted_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    dice = random.Random(20261126)
    for round_ in range(25):
        directory = tmp_path / str(round_)
        process = start_workload(directory, 100_000)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(dice.uniform(0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        accepted, lost = told(first + process.communicate(timeout=60)[0])

        found = found_in(directory)
        assert lost == []
        assert found == list(range(len(found)))
        assert len(found) in (len(accepted), len(accepted) + 1)
        assert verify(only_run(directory)).verdict is Verdict.UNANCHORED


CALLS = ("mkdir", "fallocate", "rename", "fdatasync", "fsync", "ftruncate", "flock")


@pytest.mark.fault("J2")
@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_what_was_accepted_survives_a_kill_at_a_system_call(
    call: str, tmp_path: Path, server_or_skip: Callable[..., str]
) -> None:
    strace = strace_or_skip(server_or_skip)
    inject = f"inject={call}:signal=SIGKILL:when=2"
    process = start_workload(
        tmp_path, 1_500, strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject
    )
    accepted, lost = told(process.communicate(timeout=120)[0])

    found = found_in(tmp_path)
    assert lost == []
    assert set(accepted) <= set(found)
    assert found == sorted(set(found))


@pytest.mark.fault("J3")
@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EINTR"])
def test_what_was_accepted_is_found_or_its_loss_was_told_where_a_call_fails(
    call: str, error: str, tmp_path: Path, server_or_skip: Callable[..., str]
) -> None:
    strace = strace_or_skip(server_or_skip)
    inject = f"inject={call}:error={error}:when=2..4"
    process = start_workload(
        tmp_path, 1_500, strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject
    )
    output, problems = process.communicate(timeout=120)
    accepted, lost = told(output)

    assert len(accepted) + len(lost) == 1_500, problems.decode()
    assert found_in(tmp_path) == accepted
