"""Whatever was done to a journal on purpose is found, or caught by an anchor."""

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_journal.format import frames
from hypervisor_journal.format.frames import (
    EVENT,
    HEADER_BYTES,
    Record,
    SegmentHeader,
    new_record,
)
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run
from tests.plugins.journal.journals import SEED, write_run


def rewritten(path: Path, change: Callable[[list[Record]], list[Record]]) -> None:
    """Change the records of a segment, their checksums made right again."""
    records = [record for _, record in SegmentReader(path).records()]
    header = path.read_bytes()[:HEADER_BYTES]
    path.write_bytes(header + b"".join(record.to_bytes() for record in change(records)))


@pytest.mark.fault("J12")
def test_first_record_that_was_tampered_with_is_named(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    run = write_run(tmp_path, range(30))[0]
    path = run.segment_path(0)
    whole = path.read_bytes()

    def edit(records: list[Record], at: int) -> list[Record]:
        old = records[at]
        payload = old.payload.replace(b"number", b"nunber")
        records[at] = Record(
            old.kind, old.flags, old.sequence, old.time_ns, old.salt, old.chain, old.head, payload
        )
        return records

    def swap(records: list[Record], at: int) -> list[Record]:
        records[at], records[at + 1] = records[at + 1], records[at]
        return records

    changes: dict[str, Callable[[list[Record], int], list[Record]]] = {
        "edit": edit,
        "delete": lambda records, at: records[:at] + records[at + 1 :],
        "repeat": lambda records, at: records[: at + 1] + records[at:],
        "swap": swap,
    }
    for name, change in changes.items():
        for _ in range(75):
            at = dice.randrange(28)
            rewritten(path, lambda records, at=at, change=change: change(records, at))  # type: ignore[misc]  # bound now
            found = verify(run)

            expected = at + 1 if name == "repeat" else at
            assert (found.verdict, found.bad_sequence) == (Verdict.BAD, expected), name
            path.write_bytes(whole)
    assert verify(run).verdict is Verdict.UNANCHORED


@pytest.mark.fault("J12")
def test_segments_that_were_removed_or_moved_are_named(run: Run) -> None:
    paths = [path for _, path in run.segments()]
    middle = paths[1].read_bytes()
    paths[1].unlink()
    assert "segment 1 is missing" in verify(run).reason
    paths[1].write_bytes(paths[2].read_bytes())
    assert "the segment belongs elsewhere" in verify(run).reason
    paths[1].write_bytes(middle)
    paths[0].unlink()  # by retention, perhaps: what is there is proven by itself
    found = verify(run)
    assert found.verdict is Verdict.UNANCHORED
    assert found.bad_sequence is None


def anchor_at(run: Run, sequence: int) -> Anchor:
    for record in RunReader(run).records(0):
        if record.sequence == sequence - 1:
            return Anchor(run.id.hex(), sequence, record.chain.hex())
    raise AssertionError(sequence)


@pytest.mark.fault("J13")
def test_chain_that_was_written_anew_is_caught_by_an_anchor_alone(run: Run) -> None:
    anchors = [anchor_at(run, 100), anchor_at(run, 600), Anchor("00" * 16, 5, "00")]
    assert verify(run, anchors).verdict is Verdict.PROVEN
    chain = bytes(32)
    for _, path in run.segments():
        records = [record for _, record in SegmentReader(path).records()]
        header = SegmentHeader.from_bytes(path.read_bytes()[:HEADER_BYTES])
        first = chain
        forged = b""
        for record in records:
            payload = record.payload.replace(b"number", b"nunber")
            rest, chain = new_record(
                chain, EVENT, record.sequence, record.time_ns, record.salt, record.head, payload
            )
            forged += struct.pack("<I", frames.checksum_of(rest)) + rest
        new_header = SegmentHeader(
            header.run, header.number, header.first_sequence, first, header.created_ns
        )
        path.write_bytes(new_header.to_bytes() + forged)

    assert verify(run).verdict is Verdict.UNANCHORED
    found = verify(run, anchors)
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 99)
    assert "the run was rewritten" in found.reason


@pytest.mark.fault("J14")
def test_end_that_was_cut_off_is_caught_by_an_anchor(run: Run) -> None:
    anchors = [anchor_at(run, 600)]
    last = run.segments()[-1][1]
    rewritten(last, lambda records: records[:-3])
    found = verify(run, anchors)
    assert (found.verdict, found.bad_sequence) == (Verdict.BAD, 597)
    assert "before the anchor at 600" in found.reason
    last.unlink()
    assert verify(run, anchors).verdict is Verdict.BAD
    assert verify(run).verdict is Verdict.UNANCHORED


# Size


BIG = """
import sys
from pathlib import Path

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.proof.verification import verify
from hypervisor_journal.writing.writer import JournalWriter

directory, what = Path(sys.argv[1]), sys.argv[2]
if what == "write":
    writer = JournalWriter(directory, segment_bytes=65_536)
    for number in range(100_000):
        event = HypervisorEvent(
            event_type=EventType.VFS_WRITE, payload={"number": number, "text": "x" * 640}
        )
        writer.append(event, lambda event: None)
    writer.close()
elif what == "verify":
    (run,) = runs_of(directory)
    print(verify(run).verdict.value, verify(run).events, len(run.segments()))
else:
    opened = []
    sys.addaudithook(lambda name, args: name == "open" and opened.append(str(args[0])))
    writer = JournalWriter(directory, segment_bytes=65_536)
    writer.append(HypervisorEvent(event_type=EventType.VFS_WRITE), lambda event: None)
    writer.close()
    print(len([path for path in opened if path.endswith(".hvj")]), len(list(runs_of(directory))))
# ru_maxrss would be that of the parent, where it was more.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.fault("J17")
@pytest.mark.slow
def test_big_journal_is_verified_in_little_memory_and_opened_without_being_read(
    tmp_path: Path,
) -> None:
    def run(what: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", BIG, str(tmp_path), what],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        return done.stdout.split()

    run("write")
    verdict, events, segments, kibibytes = run("verify")
    assert (verdict, events) == ("unanchored", "100000")
    assert int(segments) > 1_000
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.hvj"))
    assert size > 80 * 1024 * 1024
    assert int(kibibytes) <= 64 * 1024
    read, runs, kibibytes = run("append")
    assert (read, runs) == ("0", "2")
    assert int(kibibytes) <= 64 * 1024
