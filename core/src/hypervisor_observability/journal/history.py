"""What a journal's directory tells of the past: the events of all its runs, by time."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

from ..events import HypervisorEvent
from .encoding import BadEventError, event_of
from .frames import Record
from .reader import Damage, RunReader
from .runs import Run, runs_of

Notice = Callable[[str], object]


@frozen
class Entry:
    """An event with its place in a journal.

    Attributes:
        run: The run that has it.
        sequence: Its sequence number there.
        event: The event; its payload is empty where it was erased.
    """

    run: Run
    sequence: int
    event: HypervisorEvent


@frozen
class Wanted:
    """Which events are asked for; None where it does not matter.

    Attributes:
        event_type: Value of the type.
        session_id: The session.
        agent_did: The agent.
        trace_id: First part of the causal id.
        since_ns: The first moment, in nanoseconds since the epoch.
        until_ns: The last moment, included.
    """

    event_type: str | None = None
    session_id: str | None = None
    agent_did: str | None = None
    trace_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def covers(self, event: HypervisorEvent) -> bool:
        """Tell whether *event* is one of them."""
        return (
            (self.event_type is None or event.event_type == self.event_type)
            and (self.session_id is None or event.session_id == self.session_id)
            and (self.agent_did is None or event.agent_did == self.agent_did)
            and (self.trace_id is None or trace_of(event) == self.trace_id)
            and (self.since_ns is None or event.timestamp_ns >= self.since_ns)
            and (self.until_ns is None or event.timestamp_ns <= self.until_ns)
        )


def trace_of(event: HypervisorEvent) -> str:
    """Give the first part of the event's causal id; empty if it has none."""
    return (event.causal_trace_id or "").partition("/")[0]


def read_run(run: Run, notice: Notice, start: int = 0) -> Iterator[Entry]:
    """Give the events of *run* from a sequence number on.

    Args:
        run: The run.
        notice: Told of what cannot be read, a line each; reading goes on behind it.
        start: The first sequence number.

    Raises:
        OSError: A segment cannot be read.
    """

    def tell(damage: Damage) -> None:
        notice(f"cannot be read: {damage}")

    for record in RunReader(run, tell).records(start):
        entry = entry_of(run, record, notice)
        if entry is not None:
            yield entry


def entry_of(run: Run, record: Record, notice: Notice) -> Entry | None:
    """Give the entry of a record; None, after telling so, if it holds no event."""
    try:
        return Entry(run, record.sequence, event_of(record))
    except BadEventError as error:
        notice(f"no event: {run.path}, sequence {record.sequence}: {error}")
        return None


def read_history(directory: Path, notice: Notice, runs: Sequence[Run] = ()) -> Iterator[Entry]:
    """Give the events of all runs in the order of their times; within a run in its own order.

    Args:
        directory: Of the journal.
        notice: Told of what cannot be read.
        runs: Only these.
    """
    chosen = runs or list(runs_of(directory))
    return heapq.merge(*(read_run(run, notice) for run in chosen), key=_time)


def _time(entry: Entry) -> int:
    return entry.event.timestamp_ns
