"""What a journal's directory tells of the past: the events of all its runs, by time."""

import contextlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from attrs import define, field, frozen

from ..causality import traceparent
from ..events.event import HypervisorEvent
from .encoding import BadEventError, event_of
from .event_index import EventIndex
from .frames import EVENT, Record
from .index_columns import Columns, IndexedSegment, Question, hash_of
from .reader import RunReader, Stretch
from .runs import Run, runs_of
from .segment_reader import Damage

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
        trace: Key of the trace; ``trace_key`` gives it.
        since_ns: The first moment, in nanoseconds since the epoch.
        until_ns: The last moment, included.
    """

    event_type: str | None = None
    session_id: str | None = None
    agent_did: str | None = None
    trace: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def covers(self, event: HypervisorEvent) -> bool:
        """Tell whether *event* is one of them."""
        return (
            (self.event_type is None or event.event_type == self.event_type)
            and (self.session_id is None or event.session_id == self.session_id)
            and (self.agent_did is None or event.agent_did == self.agent_did)
            and (self.trace is None or trace_of(event) == self.trace)
            and (self.since_ns is None or event.timestamp_ns >= self.since_ns)
            and (self.until_ns is None or event.timestamp_ns <= self.until_ns)
        )

    @property
    def question(self) -> Question:
        """What the index is asked for."""
        asked = {
            "type": self.event_type,
            "session": self.session_id,
            "agent": self.agent_did,
            "trace": self.trace,
        }
        hashes = {name: hash_of(text) for name, text in asked.items() if text is not None}
        return Question(hashes, self.since_ns, self.until_ns)


EVERYTHING = Wanted()


@lru_cache(maxsize=10_000)
def trace_key(causal_id: str) -> str:
    """Give what tells a trace from others, from any id in it: a trace has one wide form."""
    trace_id = causal_id.partition("/")[0]
    return traceparent.widen_trace(trace_id) if trace_id.isascii() else trace_id


def trace_of(event: HypervisorEvent) -> str | None:
    """Give the key of the event's trace; None if it has no causal id."""
    return None if event.causal_trace_id is None else trace_key(event.causal_trace_id)


def entry_of(run: Run, record: Record, notice: Notice) -> Entry | None:
    """Give the entry of a record; None, after telling so, if it holds no event."""
    try:
        return Entry(run, record.sequence, event_of(record))
    except BadEventError as error:
        notice(f"no event: {run.path}, sequence {record.sequence}: {error}")
        return None


@define(eq=False)
class History:
    """The events of all runs of a journal.

    Attributes:
        directory: Of the journal.
        notice: Told of what cannot be read, a line each.
        index: Makes the next question fast; None: every question reads everything.
        on_segment: Called after each segment, to tell how far it is.
        torn: Where runs end with a record that their process did not live to finish. The
            event was never accepted, so nothing is missing.
    """

    directory: Path
    notice: Notice
    index: EventIndex | None = None
    on_segment: Callable[[], object] = field(default=lambda: None)
    torn: list[Damage] = field(factory=list, init=False)

    def find(
        self, wanted: Wanted = EVERYTHING, runs: Sequence[Run] | None = None
    ) -> Iterator[Entry]:
        """Give the events that are *wanted*, in the order of their times; within a run in its
        own order.

        Args:
            wanted: Which.
            runs: Only those of these; None: of all.

        A run or segment that cannot be read is passed over after a notice; one that has gone
        meanwhile without.

        Raises:
            OSError: The journal's directory cannot be listed.
        """
        chosen = list(runs_of(self.directory)) if runs is None else runs
        if self.index is not None and runs is None:
            with contextlib.suppress(OSError):  # told of when that run is read
                self.index.keep_only(list(_places_of(chosen)))
        return heapq.merge(*(self._find_in(run, wanted) for run in chosen), key=_time)

    def _find_in(self, run: Run, wanted: Wanted) -> Iterator[Entry]:
        stretches: list[Stretch] = []
        with self._telling_of(run.path):
            stretches = RunReader(run, self._tell).stretches()
        for stretch in stretches:
            with self._telling_of(stretch.path):
                yield from self._find_in_stretch(run, stretch, wanted)
            self.on_segment()

    @contextlib.contextmanager
    def _telling_of(self, path: Path) -> Iterator[None]:
        """Make a notice of an ``OSError``, but for *path* having gone."""
        try:
            yield
        except FileNotFoundError:
            pass  # the bounds of the directory remove segments at any time
        except OSError as error:
            self.notice(f"cannot be read: {path}: {error.strerror or error}")

    def _tell(self, damage: Damage) -> None:
        self.notice(f"cannot be read: {damage}")

    def _find_in_stretch(self, run: Run, stretch: Stretch, wanted: Wanted) -> Iterator[Entry]:
        index = self.index
        # Nothing is gained where everything is read; and what grows is not known for long.
        growing = stretch.following is None and _may_grow(run)
        if wanted == EVERYTHING or growing:
            index = None
        # As it is before it is read: a change meanwhile makes it another one.
        status = stretch.path.stat()
        segment = IndexedSegment(
            run.path.name, stretch.number, status.st_size, status.st_mtime_ns, stretch.until
        )
        found = None if index is None else index.find(segment, wanted.question)
        if found is None:
            yield from self._scan(run, stretch, wanted, index, segment)
            return
        following = 0
        reader = stretch.reader()
        for record in reader.records_at(found):
            following = record.sequence + 1
            entry = entry_of(run, record, self.notice)
            if entry is not None and wanted.covers(entry.event):
                yield entry
        if reader.damage is not None or reader.torn is not None:
            # It is not what it was. Whoever reads all of it can tell where it ends.
            for entry in self._scan(run, stretch, wanted, None, segment):
                if entry.sequence >= following:
                    yield entry

    def _scan(
        self,
        run: Run,
        stretch: Stretch,
        wanted: Wanted,
        index: EventIndex | None,
        segment: IndexedSegment,
    ) -> Iterator[Entry]:
        columns, whole = Columns(), True
        reader = stretch.reader()
        for offset, record in reader.records():
            if record.kind != EVENT:
                continue
            entry = entry_of(run, record, self.notice)
            if entry is None:
                whole = False
                continue
            if index is not None:
                _note(columns, offset, entry.event)
            if wanted.covers(entry.event):
                yield entry
        if reader.damage is not None:
            self._tell(reader.damage)
            whole = False
        elif reader.torn is not None and not _may_grow(run):
            self.torn.append(reader.torn)
        # What has to be told of is read each time.
        if index is not None and whole:
            index.add(segment, columns)


def _may_grow(run: Run) -> bool:
    try:
        return run.is_written()
    except OSError:  # whatever comes of it, what is there can be read
        return True


def _note(columns: Columns, place: int, event: HypervisorEvent) -> None:
    columns.add(
        place,
        event.timestamp_ns,
        event_type=event.event_type,
        session_id=event.session_id,
        agent_did=event.agent_did,
        trace=trace_of(event),
    )


def _places_of(runs: Iterable[Run]) -> Iterator[tuple[str, int]]:
    for run in runs:
        with contextlib.suppress(FileNotFoundError):
            for number, _ in run.segments():
                yield run.path.name, number


def _time(entry: Entry) -> int:
    return entry.event.timestamp_ns
