"""A disk that fails, stalls or is full costs what is told and counted, and nothing else."""

import errno
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.proof.verification import verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.writing import rotation
from hypervisor_journal.writing.segment_files import SegmentFile
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import HypervisorEvent
from tests.plugins.journal.journals import (
    SEGMENT,
    append,
    found_in,
    numbered,
    numbers_in,
    only_run,
)
from tests.plugins.journal.workloads import WORKLOAD, start_workload, strace_or_skip, told


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
        writer.append(event, id)

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
    writer.append(numbered(), got.append)

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
