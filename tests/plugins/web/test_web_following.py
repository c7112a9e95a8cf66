"""Following what is recorded: it is shown as it comes, whatever happens to what is read."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hypervisor_journal.reading.following import FollowedHistory
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_journal.runs.runs import runs_of
from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
from hypervisor_observability.stores import Entry, History, HistoryContext
from hypervisor_web.feed.following import Following
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from tests.waiting import wait_until

MIB = 1024 * 1024
ENDLESS = """
import sys, time
from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
with Observability(Config(plugins={"journal": {"directory": sys.argv[1]}})) as observability:
    number = 0
    while True:
        observability.bus.emit(HypervisorEvent(event_type=EventType.VFS_WRITE,
                                               payload={"number": number}))
        number += 1
        time.sleep(0.001)
"""


def opener(directory: Path) -> Callable[[Callable[[str], object]], AbstractContextManager[History]]:
    @contextlib.contextmanager
    def opened(notice: Callable[[str], object]) -> Iterator[History]:
        context = HistoryContext(notice=notice, may_be_empty=True)
        history = JournalHistory.of(directory, context)
        try:
            yield history
        finally:
            history.close()

    return opened


@contextlib.contextmanager
def followed(directory: Path, most: int = 100_000) -> Iterator[Observers]:
    observers = Observers(Ring(most, 64 * MIB))
    following = Following(opener(directory), observers)
    following.start()
    try:
        wait_until(lambda: not following.is_reading_past)
        yield observers
    finally:
        following.stop()


def journalling(directory: Path) -> Observability:
    return Observability(Config(plugins={"journal": {"directory": directory}}))


def emit(observability: Observability, *numbers: int) -> None:
    for number in numbers:
        payload = {"number": number}
        observability.bus.emit(HypervisorEvent(event_type=EventType.VFS_WRITE, payload=payload))
    observability.bus.sync()


def numbers_in(observers: Observers) -> list[int]:
    ring = observers.ring
    found = (one.event.payload.get("number") for _, one in ring.read(ring.oldest, ring.next))
    return [number for number in found if number is not None]


def texts_of(observers: Observers) -> str:
    return "\n".join(text for _, text in observers.notices)


def test_newest_come_first_then_each_that_is_recorded(tmp_path: Path) -> None:
    with journalling(tmp_path) as first:
        emit(first, *range(50))
        with followed(tmp_path, most=20) as observers:
            assert numbers_in(observers) == list(range(30, 50))
            emit(first, 50)
            wait_until(lambda: numbers_in(observers)[-1] == 50)
            with journalling(tmp_path) as second:
                emit(second, 51)
                wait_until(lambda: numbers_in(observers)[-1] == 51)
            assert not observers.notices


def test_empty_journal_is_waited_for(tmp_path: Path) -> None:
    with followed(tmp_path) as observers:
        assert observers.ring.next == 0
        with journalling(tmp_path) as observability:
            emit(observability, 7)
            wait_until(lambda: numbers_in(observers) == [7])


def test_journal_that_is_removed_and_made_again_is_followed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_web.feed.following._LOOK_SECONDS", 0.0)
    directory = tmp_path / "journal"
    with journalling(directory) as observability:
        emit(observability, 1)
    with followed(directory) as observers:
        wait_until(lambda: numbers_in(observers) == [1])
        shutil.rmtree(directory)
        wait_until(lambda: "has been removed" in texts_of(observers))
        with journalling(directory) as observability:
            emit(observability, 2)
        wait_until(lambda: numbers_in(observers) == [1, 2])
        assert texts_of(observers).count("has been removed") == 1
        # A third event is shown after a look has seen the second.
        with journalling(directory) as observability:
            emit(observability, 3)
        wait_until(lambda: numbers_in(observers) == [1, 2, 3])
        shutil.rmtree(directory)
        wait_until(lambda: texts_of(observers).count("has been removed") == 2)


def test_journal_that_is_removed_before_the_first_look_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "journal"
    with journalling(directory) as observability:
        emit(observability, 1)
    take = Following._take

    def take_and_remove(following: Following, entries: Iterable[Entry]) -> None:
        take(following, entries)
        shutil.rmtree(directory, ignore_errors=True)

    monkeypatch.setattr(Following, "_take", take_and_remove)
    with followed(directory) as observers:
        wait_until(lambda: "has been removed" in texts_of(observers))
        assert numbers_in(observers) == [1]


def test_damage_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    with journalling(tmp_path) as observability:
        emit(observability, *range(30))
    (run,) = runs_of(tmp_path)
    ((_, path),) = run.segments()
    data = bytearray(path.read_bytes())
    at = data.index(b'{"number":10}')
    data[at : at + 12] = b"x" * 12
    path.write_bytes(data)

    with followed(tmp_path) as observers:
        assert "cannot be read" in texts_of(observers)
        with journalling(tmp_path) as again:
            emit(again, 99)
            wait_until(lambda: numbers_in(observers)[-1] == 99)
        found = numbers_in(observers)
    assert found[:10] == list(range(10))
    assert 10 not in found


def test_history_that_cannot_be_opened_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_web.feed.following._RETRY_SECONDS", 0.01)
    directory = tmp_path / "journal"
    observers = Observers(Ring(100, 64 * MIB))
    following = Following(opener(directory), observers)
    following.start()
    try:
        wait_until(lambda: "there is no journal in" in texts_of(observers))
        with journalling(directory) as observability:
            emit(observability, 5)
        wait_until(lambda: numbers_in(observers) == [5])
        assert len(observers.notices) == 1
    finally:
        following.stop()


def test_writer_that_is_killed_is_shown_to_its_end_and_others_go_on(tmp_path: Path) -> None:
    with followed(tmp_path) as observers:
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path])
        try:
            wait_until(lambda: observers.ring.next > 20)
            with journalling(tmp_path) as other:
                emit(other, 1_000_000)
                os.kill(writer.pid, signal.SIGKILL)
                writer.wait()
                emit(other, 1_000_001)
                wait_until(lambda: 1_000_001 in numbers_in(observers))
        finally:
            writer.kill()
            writer.wait()
        with opener(tmp_path)(lambda _: None) as history:
            recorded = [entry.event.payload.get("number") for entry in history.events()]
        wait_until(lambda: observers.ring.next == len(recorded))
        mine = [number for number in numbers_in(observers) if number < 1_000_000]
    assert mine == list(range(len(mine)))  # none twice, none missing, in their order


def test_history_that_fails_is_opened_again_and_nothing_is_missed_or_shown_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_web.feed.following._RETRY_SECONDS", 0.01)
    news, calls = FollowedHistory.news, itertools.count()

    def failing(self: FollowedHistory) -> Iterator[Entry]:
        if next(calls) % 3 == 2:
            emit(observability, next(numbers))  # while nobody follows
            raise RuntimeError("the store has lost its way")
        return news(self)

    numbers = itertools.count()
    with journalling(tmp_path) as observability:
        monkeypatch.setattr(FollowedHistory, "news", failing)
        with followed(tmp_path) as observers:
            wait_until(lambda: len(numbers_in(observers)) >= 5)
            assert "is tried again: the store has lost its way" in texts_of(observers)
        found = numbers_in(observers)
    assert found == list(range(len(found)))
