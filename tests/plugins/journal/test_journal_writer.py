"""What ``append`` accepted is on the disk, whatever happens to the process or the disk."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
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
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing import rotation
from hypervisor_journal.writing.segment_files import SegmentFile
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent

SEGMENT = 64 * 1024

WORKLOAD = """
import os, sys
from pathlib import Path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.upkeep.upkeep import Upkeep
from hypervisor_journal.writing.writer import JournalWriter

directory, count = Path(sys.argv[1]), int(sys.argv[2])
writer = JournalWriter(directory, segment_bytes=65536)
upkeep = Upkeep(writer=writer, sync_seconds=0.005, retention=Retention(1 << 40))
upkeep.begin()
for number in range(count):
    event = HypervisorEvent(
        event_id=f"{number:016x}", event_type=EventType.VFS_WRITE, payload={"number": number}
    )
    before = writer.lost
    writer.append(event, lambda event: None)
    told = b"lost " if writer.lost > before else b"done "
    os.write(1, told + event.event_id.encode() + b"\\n")
upkeep.end(10)
"""


def make_event(number: int = 0) -> HypervisorEvent:
    return HypervisorEvent(
        event_id=f"{number:016x}",
        event_type=EventType.VFS_WRITE,
        session_id="s",
        payload={"number": number},
    )


def ignore(_event: HypervisorEvent) -> None:
    """Stand for the log."""


def append(writer: JournalWriter, *numbers: int) -> None:
    for number in numbers:
        writer.append(make_event(number), ignore)


def spare_of(writer: JournalWriter) -> SegmentFile | None:
    return writer._rotation.ready


def only_run(directory: Path) -> Run:
    (run,) = runs_of(directory)
    return run


def numbers_in(run: Run) -> list[int]:
    """What a reader finds, each number once and in order."""
    return [int(event_of(record).payload["number"]) for record in RunReader(run).records(0)]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path / "journal", segment_bytes=SEGMENT)
    yield writer
    writer.close()


def start_workload(directory: Path, count: int, *before: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", WORKLOAD, str(directory), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # a line that is read takes none of the following along
        start_new_session=True,
    )


def told(output: bytes) -> tuple[list[int], list[int]]:
    """What the workload was told of: accepted, and lost. A line may be cut off."""
    lines = [line.split() for line in output.decode().splitlines() if len(line) == 21]
    accepted = [int(number, 16) for word, number in lines if word == "done"]
    lost = [int(number, 16) for word, number in lines if word == "lost"]
    return accepted, lost


def found_in(directory: Path) -> list[int]:
    return [number for run in runs_of(directory) for number in numbers_in(run)]


# Dying


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


def strace_or_skip(find: Callable[..., str]) -> str:
    return find(
        "strace",
        lambda: shutil.which("strace"),
        "On Debian: apt-get install strace.",
    )


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


# A failing disk


@pytest.mark.fault("J3")
def test_segment_that_could_not_be_synced_is_left_and_what_it_held_is_repeated(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer, 0, 1)
    writer.sync()
    append(writer, 2, 3)
    broken = writer._appender.end[0]
    assert broken is not None
    with monkeypatch.context() as patch:
        patch.setattr(
            SegmentFile, "sync", lambda self: (_ for _ in ()).throw(OSError(errno.EIO, "broken"))
        )
        with pytest.raises(OSError, match="broken"):
            writer.sync()
    append(writer, 4)
    writer.sync()

    run = only_run(writer.directory)
    assert [number for number, _ in run.segments()] == [0, 1]
    assert numbers_in(run) == [0, 1, 2, 3, 4]
    assert (writer.synced.sequence, writer.unsynced_seconds) == (5, 0.0)
    assert verify(run).reason == "no anchor vouches for the last 5 events"


@pytest.mark.fault("J3")
def test_what_filled_a_segment_while_it_was_synced_is_repeated_too(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer, 0)
    first = writer._appender.end[0]
    assert first is not None
    sync = SegmentFile.sync

    def sync_slowly(segment: SegmentFile) -> None:
        sync(segment)
        number = 1
        while writer._appender.end[0] is first:
            append(writer, number)
            number += 1

    monkeypatch.setattr(SegmentFile, "sync", sync_slowly)
    writer.sync()
    monkeypatch.setattr(
        SegmentFile, "sync", lambda self: (_ for _ in ()).throw(OSError(errno.EIO, "broken"))
    )
    with pytest.raises(OSError, match="broken"):
        writer.sync()

    assert numbers_in(only_run(writer.directory)) == list(range(writer.next_sequence))
    assert first.synced_end < len(first.held or b"")


@pytest.mark.fault("J5")
def test_run_that_somebody_removed_is_told_counted_and_followed_by_another(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rotation, "TRY_AGAIN_SECONDS", 0.0)
    writer.open()
    shutil.rmtree(writer.directory)
    padding = "x" * 8_000
    for number in range(12):
        event = HypervisorEvent(event_id=f"{number:016x}", payload={"padding": padding})
        writer.append(event, ignore)

    assert writer.lost == 1
    assert not writer.degraded
    assert "events are not journalled" in caplog.text
    assert "events are journalled again" in caplog.text
    run = only_run(writer.directory)
    assert [event_of(record).event_id for record in RunReader(run).records(0)] == [
        f"{number:016x}" for number in range(8, 12)
    ]


@pytest.mark.fault("J5")
def test_directory_that_cannot_be_made_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = JournalWriter(tmp_path / "file" / "journal")
    with pytest.raises(OSError, match="no segment can be made"):
        writer.open()
    got: list[HypervisorEvent] = []
    writer.append(make_event(), got.append)

    assert (len(got), writer.lost, writer.next_sequence, writer.degraded) == (1, 1, 1, True)
    with pytest.raises(OSError, match="no segment to write"):
        writer.sync()
    writer.close()


@pytest.mark.fault("J5")
def test_limit_on_file_sizes_is_told_and_counted(tmp_path: Path) -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (32768, 32768))\n"
    done = subprocess.run(
        [sys.executable, "-c", script + WORKLOAD, str(tmp_path / "journal"), "20"],
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert told(done.stdout) == ([], list(range(20)))


FULL_DISK = """
import contextlib, sys
from pathlib import Path
from hypervisor_observability import HypervisorEvent
from hypervisor_journal.writing import rotation
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.writing.writer import JournalWriter

rotation.TRY_AGAIN_SECONDS = 0.0
directory = Path(sys.argv[1])
writer = JournalWriter(directory, segment_bytes=65536)
def append(number):
    writer.append(HypervisorEvent(event_id=f"{number:016x}", payload={"x": "x" * 8000}), id)
number = 0
while not writer.degraded:
    append(number)
    number += 1
    assert number < 1000
lost = writer.lost
with contextlib.suppress(OSError):
    writer.sync()  # lets go of what is complete
(run,) = runs_of(directory)
run.segments()[0][1].unlink()  # old ones can be removed all the same
append(number)
assert not writer.degraded and writer.lost == lost, (writer.degraded, writer.lost)
writer.sync()
reader = RunReader(run)
print(reader.bounds, number, lost, sum(1 for _ in reader.records(0)))
"""


@pytest.mark.fault("J4")
def test_full_disk_is_left_again_when_there_is_room(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=512k tmpfs {tmp_path} && exec "
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount + '"$@"', "sh", sys.executable, "-c", FULL_DISK,
         str(tmp_path / "journal")],
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    if b"unshare" in done.stderr or b"mount" in done.stderr:
        pytest.skip("this needs the right to mount a file system: run it as root")
    assert done.returncode == 0, done.stderr.decode()
    first, end, number, lost, found = map(
        int, done.stdout.decode().replace("(", "").replace(")", "").replace(",", "").split()
    )

    assert (lost, end) == (1, number + 1)
    assert found == end - first - lost


@pytest.mark.fault("J6")
def test_what_was_synced_survives_any_loss_of_what_was_not(tmp_path: Path) -> None:
    """A power cut leaves of each sector behind the sync what it was, or what it became."""
    writer = JournalWriter(tmp_path / "journal", segment_bytes=SEGMENT)
    append(writer, *range(40))
    writer.sync()
    segment = writer._appender.end[0]
    assert segment is not None
    synced_bytes, run = segment.synced_end, only_run(tmp_path / "journal")
    append(writer, *range(40, 80))
    path = run.segment_path(0)
    after = path.read_bytes()
    before = after[:synced_bytes] + bytes(len(after) - synced_bytes)
    writer.close()
    dice = random.Random(6)
    sectors = range(0, len(after), 512)
    for _ in range(500):
        kept = dice.random()
        path.write_bytes(
            b"".join(
                (after if dice.random() < kept else before)[start : start + 512]
                for start in sectors
            )
        )
        found = numbers_in(run)

        assert found[:40] == list(range(40))
        assert found == list(range(len(found)))


@pytest.mark.fault("J7")
@pytest.mark.slow
def test_stalled_disk_does_not_hold_up_who_appends(
    tmp_path: Path, server_or_skip: Callable[..., str]
) -> None:
    strace = strace_or_skip(server_or_skip)
    delay = "inject=fdatasync:delay_enter=3000000"
    begun = time.monotonic()
    process = start_workload(
        tmp_path, 300, strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", delay
    )
    assert process.stdout is not None
    for _ in range(300):
        process.stdout.readline()
    seconds = time.monotonic() - begun
    accepted, lost = told(process.communicate(timeout=120)[0])
    slowest = time.monotonic() - begun

    assert (accepted, lost) == ([], [])
    # Each sync takes three seconds, and the close waits for the last ones.
    assert seconds < slowest
    assert found_in(tmp_path) == list(range(300))


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
        if make_event(1).event_id.encode() in rest:
            writer.append(make_event(9), order.append)
            assert order[-1:] == [make_event(0)]
        return store(segment, start, rest, into_reserve=into_reserve)

    monkeypatch.setattr(SegmentFile, "store", store_interrupted)
    for number in range(3):
        writer.append(make_event(number), order.append)

    assert [event.payload["number"] for event in order] == [0, 1, 9, 2]
    assert numbers_in(only_run(writer.directory)) == [0, 1, 9, 2]


@pytest.mark.fault("C9")
def test_threads_append_in_one_order(writer: JournalWriter) -> None:
    order: list[HypervisorEvent] = []

    def work(part: int) -> None:
        for number in range(500):
            writer.append(make_event(part * 1_000 + number), order.append)

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
    writer.append(make_event(0), order.append)
    writer._maker.admit = interrupt
    with pytest.raises(KeyboardInterrupt):
        writer.append(make_event(1), order.append)
    writer._maker.admit = None
    writer.append(make_event(2), order.append)

    assert writer.next_sequence == len(order) == 2


def test_event_that_cannot_be_written_takes_a_number_and_is_counted(
    writer: JournalWriter,
) -> None:
    order: list[HypervisorEvent] = []
    huge = HypervisorEvent(event_id="x" * 2_000_000)
    for event in (make_event(0), huge, make_event(2)):
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
    writer.append(HypervisorEvent(event_id="large", payload=payload), ignore)
    append(writer, 2)

    ids = [event_of(record).event_id for record in RunReader(only_run(writer.directory)).records(0)]
    assert ids == [make_event(0).event_id, "large", make_event(2).event_id]


def test_run_without_events_goes_with_its_writer(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.open()
    assert only_run(tmp_path).is_alive()
    writer.close()

    assert list(runs_of(tmp_path)) == []
    writer.append(make_event(), ignore)
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
