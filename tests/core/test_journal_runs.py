"""Runs: nobody sees one that is not locked yet."""

import os
from pathlib import Path

import pytest

from hypervisor_observability.journal import runs
from hypervisor_observability.journal.runs import new_run, runs_of


def test_run_is_seen_once_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = runs._try_lock
    seen: list[int] = []

    def look_and_lock(descriptor: int) -> bool:
        seen.append(len(list(runs_of(tmp_path))))
        return lock(descriptor)

    monkeypatch.setattr(runs, "_try_lock", look_and_lock)
    run, descriptor = new_run(tmp_path)

    assert seen == [0]
    assert list(runs_of(tmp_path)) == [run]
    assert run.is_alive()
    assert run.claim() is None
    os.close(descriptor)
    assert not run.is_alive()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("refused", ["lock", "name"])
def test_run_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    if refused == "lock":
        monkeypatch.setattr(runs, "_try_lock", lambda _descriptor: False)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    before = descriptors()
    with pytest.raises(OSError, match=r"locked by another process|no space"):
        new_run(tmp_path)

    assert not list(tmp_path.iterdir())
    assert descriptors() == before
