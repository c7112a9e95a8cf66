"""Journals for tests of who reads them: written by hand, and damaged."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from click.testing import Result

from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.delivery.batch import Batch

TRACE = "a1b2c3d4e5f6"
SEGMENT = 65_536
"""Bytes of the segments that tests write: the least that a configuration may name."""
SEED = 20261126

End = Literal["closed", "killed", "living"]


def numbered(number: int = 0, **payload: object) -> HypervisorEvent:
    """An event whose id and payload say its number."""
    return HypervisorEvent(
        event_id=f"{number:016x}",
        event_type=EventType.VFS_WRITE,
        agent_did="did:mesh:a",
        payload={"number": number, **payload},
    )


def append(writer: JournalWriter, *numbers: int, text: str = "") -> None:
    """Append numbered events, each with *text* if there is one."""
    payload = {"text": text} if text else {}
    for number in numbers:
        writer.append(numbered(number, **payload), id)


def write_run(
    directory: Path, numbers: Iterable[int], *, end: End = "closed", text: str = ""
) -> tuple[Run, JournalWriter]:
    """Write a run of numbered events, and end it, or not."""
    known = set(runs_of(directory))
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    append(writer, *numbers, text=text)
    leave(writer, end)
    (run,) = set(runs_of(directory)) - known
    return run, writer


def leave(writer: JournalWriter, end: End) -> None:
    if end == "closed":
        writer.close()
    elif end == "killed":
        writer.begin_anew_after_fork()  # lets go without a word, as a kill does


def only_run(directory: Path) -> Run:
    (run,) = runs_of(directory)
    return run


def numbers_in(run: Run) -> list[int]:
    """What a reader finds, each number once and in order."""
    return [int(event_of(record).payload["number"]) for record in RunReader(run).records(0)]


def found_in(directory: Path) -> list[int]:
    """What a reader finds in all runs."""
    return [number for run in runs_of(directory) for number in numbers_in(run)]


def offsets(path: Path) -> list[int]:
    """The bytes at which the records of a segment begin."""
    return [offset for offset, _ in SegmentReader(path).records()]


def numbers_of(reading: Reading | Batch) -> list[int]:
    return [event.payload["number"] for event in reading.events]


def make_event(number: int, **fields: Any) -> HypervisorEvent:
    values: dict[str, Any] = {
        "event_type": EventType.VFS_WRITE,
        "timestamp": 1_000_000.0 + number,
        "session_id": "s1",
        "agent_did": "did:mesh:a",
        "payload": {"number": number},
        **fields,
    }
    return HypervisorEvent(**values)


def write(directory: Path, *events: HypervisorEvent) -> Run:
    known = set(runs_of(directory))
    writer = JournalWriter(directory, segment_bytes=SEGMENT)
    for event in events:
        writer.append(event, lambda _: None)
    writer.close()
    (run,) = set(runs_of(directory)) - known
    return run


def write_two_runs(directory: Path) -> Path:
    """Two runs whose events interleave."""
    write(directory, *(make_event(number) for number in (0, 2, 4)))
    write(
        directory,
        make_event(1, event_type=EventType.AGENT_KILLED, agent_did="did:mesh:b"),
        make_event(3, session_id="s2", causal_trace_id=f"{TRACE}/01234567"),
    )
    return directory


def damage_second_record(run: Run) -> None:
    path = run.segment_path(0)
    data = bytearray(path.read_bytes())
    _, second, *_ = offsets(path)
    data[second + 100] ^= 1
    path.write_bytes(data)


def numbers(result: Result) -> list[int]:
    return [json.loads(line)["payload"]["number"] for line in result.stdout.splitlines()]
