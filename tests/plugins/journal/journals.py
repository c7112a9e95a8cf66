"""Journals for tests of who reads them: written by hand, and damaged."""

import json
from pathlib import Path
from typing import Any

from click.testing import Result

from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent

TRACE = "a1b2c3d4e5f6"


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
    writer = JournalWriter(directory, segment_bytes=65_536)
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
    _, second, *_ = [offset for offset, _ in SegmentReader(path).records()]
    data[second + 100] ^= 1
    path.write_bytes(data)


def numbers(result: Result) -> list[int]:
    return [json.loads(line)["payload"]["number"] for line in result.stdout.splitlines()]
