"""What a writer appends: the order, the segments, and the runs of many writers."""

import json
import os
import threading
from pathlib import Path

import pytest

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.format.frames import EVENT, NOTE
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.claims import Claims
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.segment_files import SegmentFile
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent
from tests.plugins.journal.journals import SEGMENT, append, found_in, numbered, numbers_in, only_run
from tests.plugins.journal.workloads import start_workload


def spare_of(writer: JournalWriter) -> SegmentFile | None:
    return writer._rotation.ready


# Many writers


@pytest.mark.fault("J8")
def test_two_writers_of_a_directory_have_runs_of_their_own(tmp_path: Path) -> None:
    one = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    other = JournalWriter(tmp_path, segment_bytes=SEGMENT)
    append(one, 0, 2)
    append(other, 1, 3)
    runs = list(runs_of(tmp_path))

    assert sorted(map(numbers_in, runs)) == [[0, 2], [1, 3]]
    assert all(run.is_alive() for run in runs)
    assert all(run.is_written() for run in runs)
    one.close()
    other.close()
    assert not any(run.is_alive() for run in runs)


@pytest.mark.fault("J8")
def test_lock_that_a_dead_process_left_is_free(tmp_path: Path) -> None:
    process = start_workload(tmp_path, 5)
    process.communicate(timeout=60)
    run = only_run(tmp_path)
    claims = Claims(tmp_path)

    assert not run.is_alive()
    assert claims.take(run.path)
    assert run.is_alive()  # whoever claims it holds it
    assert not run.is_written()
    claims.close()


@pytest.mark.fault("C11")
def test_forked_child_writes_a_run_of_its_own(writer: JournalWriter) -> None:
    append(writer, 0, 1)
    child = os.fork()
    if child == 0:
        try:
            append(writer, 7, 8)
            writer.sync()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    append(writer, 2)

    assert sorted(map(numbers_in, runs_of(writer.directory))) == [[0, 1, 2], [7, 8]]
    assert [run.is_alive() for run in runs_of(writer.directory)].count(True) == 1


# Order


@pytest.mark.fault("C10")
def test_append_that_interrupts_another_is_done_behind_it(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[HypervisorEvent] = []
    store = SegmentFile.store

    def store_interrupted(
        segment: SegmentFile, start: int, rest: bytes, *, into_reserve: bool = False
    ) -> int:
        if numbered(1).event_id.encode() in rest:
            writer.append(numbered(9), order.append)
            assert order[-1:] == [numbered(0)]
        return store(segment, start, rest, into_reserve=into_reserve)

    monkeypatch.setattr(SegmentFile, "store", store_interrupted)
    for number in range(3):
        writer.append(numbered(number), order.append)

    assert [event.payload["number"] for event in order] == [0, 1, 9, 2]
    assert numbers_in(only_run(writer.directory)) == [0, 1, 9, 2]


@pytest.mark.fault("C9")
def test_threads_append_in_one_order(writer: JournalWriter) -> None:
    order: list[HypervisorEvent] = []

    def work(part: int) -> None:
        for number in range(500):
            writer.append(numbered(part * 1_000 + number), order.append)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    found = numbers_in(only_run(writer.directory))
    assert found == [event.payload["number"] for event in order]
    assert len(set(found)) == 4_000
    assert all(
        [number for number in found if number // 1_000 == part]
        == list(range(part * 1_000, part * 1_000 + 500))
        for part in range(8)
    )


def test_exception_that_ends_an_append_keeps_the_numbers_together(writer: JournalWriter) -> None:
    def interrupt(event: HypervisorEvent) -> HypervisorEvent:
        raise KeyboardInterrupt

    order: list[HypervisorEvent] = []
    writer.append(numbered(0), order.append)
    writer._maker.admit = interrupt
    with pytest.raises(KeyboardInterrupt):
        writer.append(numbered(1), order.append)
    writer._maker.admit = None
    writer.append(numbered(2), order.append)

    assert writer.next_sequence == len(order) == 2


def test_event_that_cannot_be_written_takes_a_number_and_is_counted(
    writer: JournalWriter,
) -> None:
    order: list[HypervisorEvent] = []
    huge = HypervisorEvent(event_id="x" * 2_000_000)
    for event in (numbered(0), huge, numbered(2)):
        writer.append(event, order.append)

    run = only_run(writer.directory)
    assert (writer.lost, len(order)) == (1, 3)
    assert [record.sequence for record in RunReader(run).records(0)] == [0, 2]
    found = verify(run)
    assert (found.verdict, found.lost) == (Verdict.UNANCHORED, 1)


# Segments


def test_spare_segment_is_there_before_it_is_needed(writer: JournalWriter) -> None:
    writer.prepare_spare()
    assert spare_of(writer) is None  # nothing is open yet
    writer.open()
    writer.prepare_spare()
    assert spare_of(writer) is None  # half of the first is free
    number = 0
    while writer._appender.end[1] * 2 < SEGMENT:
        append(writer, number)
        number += 1
    writer.prepare_spare()
    spare = spare_of(writer)
    assert spare is not None
    while spare.number < 0:
        append(writer, number)
        number += 1

    assert writer._appender.end[0] is spare
    assert writer.segment_number == 0  # the first is not synced yet
    writer.sync()
    assert writer.segment_number == 1
    assert numbers_in(only_run(writer.directory)) == list(range(number))


def test_record_larger_than_a_segment_gets_one_of_its_own(writer: JournalWriter) -> None:
    append(writer, 0)
    payload = {f"key{number}": "x" * 15_000 for number in range(10)}
    writer.append(HypervisorEvent(event_id="large", payload=payload), id)
    append(writer, 2)

    ids = [event_of(record).event_id for record in RunReader(only_run(writer.directory)).records(0)]
    assert ids == [numbered(0).event_id, "large", numbered(2).event_id]


def test_run_without_events_goes_with_its_writer(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.open()
    assert only_run(tmp_path).is_alive()
    writer.close()

    assert list(runs_of(tmp_path)) == []
    writer.append(numbered(), id)
    assert writer.lost == 1  # nobody writes behind the end


def test_closed_run_takes_no_more_of_the_disk_than_it_has(writer: JournalWriter) -> None:
    append(writer, 0, 1)
    writer.close()
    run = only_run(writer.directory)

    assert run.segment_path(0).stat().st_size < 1_000
    ledger = RunLedger(writer.directory)
    ledger.look()
    assert ledger.runs[run.path.name].end == 2


# Retention


@pytest.mark.fault("J16")
def test_oldest_segments_go_when_the_directory_is_too_large(tmp_path: Path) -> None:
    old, new = (JournalWriter(tmp_path, segment_bytes=SEGMENT) for _ in range(2))
    for number in range(400):
        append(old, number)
    old.sync()
    old.close()
    for number in range(400, 800):
        append(new, number)
    new.sync()
    whole = Retention(1 << 40).apply(tmp_path)
    assert Retention(1 << 40, max_age_seconds=3_600).apply(tmp_path) == whole

    left = Retention(whole // 2).apply(tmp_path)

    assert left <= whole // 2
    found = found_in(tmp_path)
    assert found == list(range(found[0], 800))
    assert Retention(1).apply(tmp_path) > 0  # the segment that is being written stays
    append(new, 800)
    assert found_in(tmp_path)[-1] == 800
    new.close()
    assert Retention(1).apply(tmp_path) == 0
    assert list(runs_of(tmp_path)) == []


def test_old_segments_go_whatever_room_there_is(writer: JournalWriter) -> None:
    append(writer, *range(600))
    writer.sync()
    run = only_run(writer.directory)
    paths = [path for _, path in run.segments()]
    assert len(paths) > 2
    for path in paths:
        os.utime(path, (1, 1))

    Retention(1 << 40, max_age_seconds=60).apply(writer.directory)

    assert [path for _, path in run.segments()] == paths[-1:]
    assert json.dumps(numbers_in(run)[-1]) == "599"


# Records that are no events


def test_note_takes_no_number_and_is_proven(writer: JournalWriter) -> None:
    append(writer, 0)
    writer.note(kind="clock_stepped", step_seconds=-3.5)
    append(writer, 1)
    writer.sync()

    run = only_run(writer.directory)
    records = [record for _, record in SegmentReader(run.segment_path(0)).records()]
    assert [(record.kind, record.sequence) for record in records] == [
        (EVENT, 0), (NOTE, 1), (EVENT, 1)
    ]  # fmt: skip
    assert json.loads(records[1].head) == {"kind": "clock_stepped", "step_seconds": -3.5}
    assert numbers_in(run) == [0, 1]
    for chain in (records[0].chain, records[1].chain):
        found = verify(run, [Anchor(run.id.hex(), 1, chain.hex())])
        assert (found.verdict, found.anchored) == (Verdict.UNANCHORED, 1)
    forged = verify(run, [Anchor(run.id.hex(), 1, bytes(32).hex())])
    assert (forged.verdict, forged.bad_sequence) == (Verdict.BAD, 0)
