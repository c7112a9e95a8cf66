"""Each call of the system that reading makes fails once: nothing is lost, and nothing comes twice.

The calls are counted first; then each of them fails once, with each of the errors that say nothing.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from hypervisor_journal import JournalConfig
from hypervisor_journal.store import JournalStore
from hypervisor_journal.streams.followed_runs import FollowedRuns
from hypervisor_observability import HypervisorEventBus
from hypervisor_observability.delivery.accounts import Account
from hypervisor_observability.delivery.counts import Counts
from hypervisor_observability.delivery.ledger import Place
from hypervisor_observability.errors import StreamUnavailableError
from tests.plugins.journal.journals import append, write_run
from tests.plugins.journal.store_context import context_of

ERRORS = (errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE, errno.ENFILE)
CALLS = [
    (os, ("open", "pread", "scandir", "stat", "fstat", "lstat", "listdir", "write", "mkdir")),
    (os, ("replace", "rename", "unlink", "ftruncate", "utime", "fsync", "fdatasync", "lseek")),
    (fcntl, ("flock", "fcntl")),
]
MAX_TRIES = 20


class FailingCall:
    """Counts calls, and has one of them fail."""

    def __init__(self, number: int | None, code: int) -> None:
        self.number, self.code = number, code
        self.count = 0
        self.failed = ""

    @contextmanager
    def armed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with monkeypatch.context() as patch:
            for module, names in CALLS:
                for name in names:
                    patch.setattr(module, name, self._around(name, getattr(module, name)))
            yield

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count - 1 == self.number:
                self.failed = f"{name}{arguments}"
                raise OSError(self.code, os.strerror(self.code), str(arguments[0]))
            return call(*arguments, **options)

        return wrapped


def tried(action: Callable[[], Any]) -> Any:
    """Do what a lane does: wait, and try again."""
    for _ in range(MAX_TRIES):
        try:
            return action()
        except StreamUnavailableError:
            continue
    raise AssertionError("it cannot be read, though nothing fails any more")


def deliver_all(account: Account, until: int) -> list[int]:
    got: list[int] = []
    nothing = 0
    while len(got) < until and nothing < 3:
        reading = tried(lambda: account.read(4))
        got += [event.payload["number"] for event in reading.events]
        account.ledger.settle_offered(Place.DELIVERED)
        account.commit(lambda: None)
        nothing += not reading.events
    account.commit(lambda: None, last=True)
    return got


def follow(directory: Path) -> Account:
    stream = FollowedRuns("p", directory, directory / "agent" / "p.json")
    tried(stream.open)
    return Account(stream, stream)


def follow_once(directory: Path, monkeypatch: pytest.MonkeyPatch, failing: FailingCall) -> None:
    """Read two dead runs and a living one, go on in another process, where one call fails, and in
    a third one.
    """
    directory.mkdir()
    (directory / "agent").mkdir()
    write_run(directory, range(5))
    write_run(directory, range(10, 13), end="killed")
    _, living = write_run(directory, range(20, 26), end="living")
    before = deliver_all(follow(directory), 6)
    with failing.armed(monkeypatch):
        account = follow(directory)
        got = deliver_all(account, 14 - len(before))
        account.counts()
        got += deliver_all(account, 1)  # nothing has come
    append(living, 26, 27)
    got += deliver_all(account, 2)
    counts = account.counts()
    later = deliver_all(follow(directory), 1)
    living.close()

    assert len(before) < 10
    assert sorted(before + got) == [*range(5), *range(10, 13), *range(20, 28)], failing.failed
    assert later == [], failing.failed
    assert (counts.emitted, counts.delivered, counts.dropped) == (len(got), len(got), {})
    assert counts.pending == counts.in_flight == 0


def resume_once(directory: Path, monkeypatch: pytest.MonkeyPatch, failing: FailingCall) -> None:
    """Deliver a part of two dead runs, go on in another process, where one call fails, and in a
    third one.
    """
    directory.mkdir()
    write_run(directory, range(5))
    write_run(directory, range(10, 13), end="killed")
    before = resume(directory, 3)[0]
    journal, account = make_journal(directory)
    journal.writer.open()
    with failing.armed(monkeypatch):
        journal.start(lambda: None)
        account.begin()
        got = deliver_all(account, 8 - len(before))
    counts = account.counts()
    journal.stop(30)
    later, rest = resume(directory, 8)

    assert len(before) == 4
    assert sorted(before + got + later) == [*range(5), *range(10, 13)], failing.failed
    assert counts.dropped == rest.dropped == {}, failing.failed
    assert counts.emitted == counts.delivered == len(got)


def resume(directory: Path, until: int) -> tuple[list[int], Counts]:
    journal, account = make_journal(directory)
    journal.start(lambda: None)
    account.begin()
    got = deliver_all(account, until)
    journal.stop(30)
    return got, account.counts()


def make_journal(directory: Path) -> tuple[JournalStore, Account]:
    config = JournalConfig(directory=directory, segment_bytes=65_536, sync_seconds=60.0)
    journal = JournalStore(config, context_of(HypervisorEventBus()))
    stream = journal.stream_for("p", defers=True)
    return journal, Account(stream, stream)


@pytest.mark.fault("J21")
@pytest.mark.slow
@pytest.mark.parametrize("once", [follow_once, resume_once])
def test_no_call_that_fails_once_loses_or_repeats_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once: Callable[..., None]
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    counting = FailingCall(None, 0)
    once(tmp_path / "counted", monkeypatch, counting)
    assert counting.count > 50

    codes = cycle(ERRORS)
    for number in range(counting.count):
        once(tmp_path / str(number), monkeypatch, FailingCall(number, next(codes)))
