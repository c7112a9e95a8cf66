"""Books after an error of the disk: what is synced is true, what is lost is told, nothing leaks."""

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor_journal.format.frames import EVENT, GAP, NOTE
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.writing import rotation
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent
from tests.plugins.journal import journals
from tests.plugins.journal.journals import found_in, only_run

SEGMENT = 8 * 1024


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalWriter]:
    monkeypatch.setattr(rotation, "TRY_AGAIN_SECONDS", 0.0)
    writer = JournalWriter(tmp_path / "journal", segment_bytes=SEGMENT)
    yield writer
    writer.close()


def append(writer: JournalWriter, *numbers: int) -> None:
    journals.append(writer, *numbers, text="x" * 200)


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.fault("J3")
def test_syncs_that_fail_make_no_further_segments(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer, 0, 1)
    writer.sync()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing(errno.EIO))
        for number in range(2, 12):
            append(writer, number)
            with pytest.raises(OSError, match="Input/output"):
                writer.sync()
        assert [number for number, _ in only_run(writer.directory).segments()] == [0, 1]
        assert writer.synced.sequence == 2
        assert sorted(path.suffix for path in only_run(writer.directory).path.iterdir()) == [
            "", ".hvj", ".hvj"
        ]  # fmt: skip
    assert found_in(writer.directory) == list(range(12))
    writer.sync()

    assert writer.synced.sequence == 12
    assert writer.lost == 0
    assert verify(only_run(writer.directory)).events == 12


@pytest.mark.fault("J3")
def test_syncs_in_the_background_wait_longer_and_longer_behind_a_failure(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def fail(_: int) -> None:
        nonlocal tried
        tried += 1
        raise OSError(errno.EIO, "broken")

    append(writer, 0)
    monkeypatch.setattr(os, "fdatasync", fail)
    for _ in range(1_000):
        writer.sync_in_background()
    assert 1 <= tried < 20
    assert writer.unsynced_seconds > 0


@pytest.mark.fault("J5")
def test_run_that_was_removed_before_it_was_synced_is_told_and_counted_as_lost(
    writer: JournalWriter,
) -> None:
    append(writer, 0, 1)
    writer.sync()
    append(writer, 2, 3, 4)
    shutil.rmtree(writer.directory)
    with pytest.raises(FileNotFoundError, match="removed before it was synced"):
        writer.sync()
    assert writer.lost == 3
    append(writer, 5)
    with pytest.raises(OSError, match="3 events are not in the journal"):
        writer.sync()  # the first call was told of the file, this one of the events
    writer.sync()

    assert found_in(writer.directory) == [5]
    assert writer.synced.sequence == 6
    assert verify(only_run(writer.directory)).verdict is Verdict.UNANCHORED


@pytest.mark.fault("J4")
def test_loss_is_told_by_the_next_sync_though_there_is_room_again(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
        append(writer, 0, 1)
    append(writer, 2)
    writer.sync_in_background()  # tells nobody who asks
    with pytest.raises(OSError, match="2 events are not in the journal"):
        writer.sync()
    writer.sync()


@pytest.mark.fault("J4")
@pytest.mark.fault("J12")
def test_gap_is_a_record_of_the_chain(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
        append(writer, *range(2, 60))
    lost = writer.lost
    append(writer, 60)
    writer.sync_in_background()

    run = only_run(writer.directory)
    records = [record for _, path in run.segments() for _, record in SegmentReader(path).records()]
    assert [record.kind for record in records[-2:]] == [GAP, EVENT]
    assert records[-2].sequence + lost == records[-1].sequence == 60
    anchor = Anchor(run.id.hex(), writer.synced.sequence, writer.synced.chain.hex())
    found = verify(run, [anchor])
    assert (found.verdict, found.lost, found.events) == (Verdict.PROVEN, lost, 61 - lost)


@pytest.mark.fault("J4")
def test_full_disk_has_room_for_the_gap_at_the_end_of_a_run(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.open()
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    append(writer, *range(100))
    writer.sync_in_background()
    stored = writer.synced
    assert stored.sequence == 100 - writer.lost  # not one that was lost
    writer.close()

    run = only_run(writer.directory)
    found = verify(run, [Anchor(run.id.hex(), stored.sequence, stored.chain.hex())])
    assert (found.verdict, found.lost) == (Verdict.UNANCHORED, writer.lost)
    assert found.anchored == stored.sequence


@pytest.mark.fault("J3")
@pytest.mark.parametrize("call", ["rename", "posix_fallocate", "fchmod"])
def test_step_of_a_rotation_that_fails_leaks_nothing(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer.open()
    for number in range(40):
        append(writer, number)
    segments = len(only_run(writer.directory).segments())
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        counts = set()
        for number in range(100):
            append(writer, number)
            if writer.lost:
                names = len(list(only_run(writer.directory).path.iterdir()))
                counts.add((names, len(list(Path("/proc/self/fd").iterdir()))))
        assert len(counts) == 1
    was_degraded = writer.degraded
    append(writer, 100)
    assert (was_degraded, writer.degraded) == (True, False)
    assert len(only_run(writer.directory).segments()) > segments
    assert not list(only_run(writer.directory).path.glob("*.new"))


@pytest.mark.fault("J7")
def test_nothing_is_logged_while_others_could_not_append(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class ToJournal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            append(writer, 1_000)  # a handler that makes events of warnings
            other = threading.Thread(target=append, args=(writer, 1_001))
            other.start()
            other.join(30)
            assert not other.is_alive()

    handler = ToJournal()
    logger = logging.getLogger("hypervisor_journal.writing.writer")
    logger.addHandler(handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
            append(writer, *range(3))
        append(writer, 3)
    finally:
        logger.removeHandler(handler)
    assert any("not journalled" in one for one in said)
    assert any("journalled again" in one for one in said)


@pytest.mark.fault("J7")
def test_event_that_is_slow_to_admit_holds_up_nobody(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def admit(event: HypervisorEvent) -> HypervisorEvent:
        if event.payload["number"] == 0:
            begun.set()
            assert go_on.wait(60)
        return event

    writer = JournalWriter(tmp_path, segment_bytes=SEGMENT, admit=admit)
    slow = threading.Thread(target=append, args=(writer, 0))
    slow.start()
    assert begun.wait(60)
    append(writer, 1, 2)
    assert found_in(writer.directory) == [1, 2]
    go_on.set()
    slow.join(60)
    assert found_in(writer.directory) == [1, 2, 0]
    writer.close()


def test_note_is_no_event_and_is_not_lost_with_numbers(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
        writer.note(kind="clock_stepped", step_seconds=1.5)
    assert (writer.next_sequence, writer.lost) == (0, 0)
    append(writer, 0)
    writer.note(kind="clock_stepped", step_seconds=1.5)
    records = [
        record for _, record in SegmentReader(only_run(writer.directory).segment_path(0)).records()
    ]
    assert [(record.kind, record.sequence) for record in records] == [(EVENT, 0), (NOTE, 1)]
