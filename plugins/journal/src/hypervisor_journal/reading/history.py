"""What a journal's directory tells of the past: the events of all its runs, by time."""

import contextlib
import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

from attrs import define, field

from hypervisor_journal.format.frames import EVENT
from hypervisor_journal.reading.description import JournalDescriber
from hypervisor_journal.reading.event_index import EventIndex
from hypervisor_journal.reading.following import FollowedHistory
from hypervisor_journal.reading.index_columns import Columns, IndexedSegment, Question, hash_of
from hypervisor_journal.reading.reader import Notice, RunReader, Stretch, entry_of
from hypervisor_journal.reading.segment_reader import Damage, SegmentReader
from hypervisor_journal.runs.directory import holds_runs, require_journal
from hypervisor_journal.runs.runs import Run, run_names
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.stores import (
    EVERYTHING,
    Description,
    Entry,
    HistoryContext,
    Wanted,
    trace_of,
)


def nothing(*_: object) -> None:
    """Do nothing."""


@define(eq=False)
class JournalHistory:
    """The events of all runs of a journal.

    Attributes:
        directory: Of the journal.
        notice: Told of what cannot be read, a line each.
        index: Makes the next question fast; None: every question reads everything.
        remark: Told of runs that end with a record that their process did not live to finish.
            The event was never accepted, so nothing is missing.
        expect: Told how many segments a question will read; None: they are not counted.
        step: Called after each of them.
    """

    directory: Path
    notice: Notice
    index: EventIndex | None = None
    remark: Notice = nothing
    expect: Callable[[int], object] | None = None
    step: Callable[[], object] = nothing
    torn: list[Damage] = field(factory=list, init=False)
    _describer: JournalDescriber = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._describer = JournalDescriber(self.directory)

    @classmethod
    def of(cls, directory: Path, context: HistoryContext) -> Self:
        """Open the past of the journal in *directory*.

        Raises:
            NoHistoryError: There is none, and none is waited for. Whatever else it holds, a
                directory without a run is no journal.
        """
        if context.may_be_empty and not directory.exists():
            context.notice(f"there is no journal in {directory} yet: waiting for the first process")
        else:
            require_journal(directory, may_be_empty=context.may_be_empty)
        # An index is made in a journal alone.
        index = EventIndex.of(directory) if context.indexed and holds_runs(directory) else None
        return cls(directory, context.notice, index, context.remark, context.expect, context.step)

    @property
    def place(self) -> str:
        """The directory."""
        return str(self.directory)

    def runs(self) -> list[str]:
        """Give the names of the runs, the oldest first.

        Raises:
            OSError: The journal's directory cannot be listed.
        """
        return run_names(self.directory)

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Give the events that are *wanted*, in the order of their times; within a run in its
        own order.

        Args:
            wanted: Which.
            runs: Only those of these; None: of all.
            limit: Only the newest so many of them; None: all. No more are held in memory.
            newest_first: Whether the order is turned round. Whoever takes only the first of them
                has only the newest segments read.

        A run or segment that cannot be read is passed over after a notice; one that has gone
        meanwhile without. With a *limit*, older segments are not looked at.

        Raises:
            OSError: The journal's directory cannot be listed.
        """
        names = self.runs() if runs is None else list(runs)
        chosen = [Run(self.directory / name) for name in names]
        if self.index is not None and runs is None:
            with contextlib.suppress(OSError):  # told of when that run is read
                self.index.keep_only(list(_places_of(chosen)))
        if self.expect is not None:
            self.expect(_segments_of(chosen))
        if limit is None and not newest_first:
            return heapq.merge(*(self._find_in(run, wanted) for run in chosen), key=_time)
        # Of equal times the one that comes last in the other order comes first.
        runs_turned = (self._find_in(run, wanted, turned=True) for run in reversed(chosen))
        newest = islice(heapq.merge(*runs_turned, key=_time, reverse=True), limit)
        return newest if newest_first else _turned(newest)

    def follow(self) -> FollowedHistory:
        """Give what comes from now on."""
        return FollowedHistory(self.directory, self.notice, self.events)

    def describe(self) -> Description:
        """Tell how much there is, which processes write it, and what its newest anchor proves.

        Raises:
            OSError: The journal's directory cannot be listed.
        """
        return self._describer.describe()

    def close(self) -> None:
        """Let go of the index; remark which runs end in the middle of a record."""
        if self.index is not None:
            self.index.close()
        if self.torn:
            self.remark(_torn_text(self.torn))
            self.torn.clear()

    def _find_in(self, run: Run, wanted: Wanted, *, turned: bool = False) -> Iterator[Entry]:
        stretches: list[Stretch] = []
        with self._telling_of(run.path):
            stretches = RunReader(run, self._tell).stretches()
        for stretch in reversed(stretches) if turned else stretches:
            with self._telling_of(stretch.path):
                yield from self._find_in_stretch(run, stretch, wanted, turned=turned)
            self.step()

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

    def _find_in_stretch(
        self, run: Run, stretch: Stretch, wanted: Wanted, *, turned: bool
    ) -> Iterator[Entry]:
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
        found = None if index is None else index.find(segment, question_of(wanted))
        if found is None and not turned:
            yield from self._scan(run, stretch, wanted, index, segment)
            return
        places: Sequence[int]
        if found is not None:
            places = found
        elif wanted == EVERYTHING:
            places = self._places(run, stretch)
        else:
            at = (place for place, _ in self._scan_places(run, stretch, wanted, index, segment))
            places = array("Q", at)
        last: int | None = None
        reader = stretch.reader()
        for record in reader.records_at(reversed(places) if turned else places):
            last = record.sequence
            entry = entry_of(run, record, self.notice)
            if entry is not None and wanted.covers(entry.event):
                yield entry
        if reader.damage is not None or reader.torn is not None:
            # It is not what it was. Whoever reads all of it can tell where it ends.
            again = self._scan(run, stretch, wanted, None, segment)
            for entry in _turned(again) if turned else again:
                if last is None or (entry.sequence < last if turned else entry.sequence > last):
                    yield entry

    def _scan(
        self,
        run: Run,
        stretch: Stretch,
        wanted: Wanted,
        index: EventIndex | None,
        segment: IndexedSegment,
    ) -> Iterator[Entry]:
        return (entry for _, entry in self._scan_places(run, stretch, wanted, index, segment))

    def _scan_places(
        self,
        run: Run,
        stretch: Stretch,
        wanted: Wanted,
        index: EventIndex | None,
        segment: IndexedSegment,
    ) -> Iterator[tuple[int, Entry]]:
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
                yield offset, entry
        self._tell_end(run, reader)
        # What has to be told of is read each time.
        if index is not None and whole and reader.damage is None:
            index.add(segment, columns)

    def _places(self, run: Run, stretch: Stretch) -> Sequence[int]:
        """Give the bytes at which there are events; nothing is decoded."""
        reader = stretch.reader()
        places = array("Q", (at for at, record in reader.records() if record.kind == EVENT))
        self._tell_end(run, reader)
        return places

    def _tell_end(self, run: Run, reader: SegmentReader) -> None:
        if reader.damage is not None:
            self._tell(reader.damage)
        elif reader.torn is not None and not _may_grow(run):
            self.torn.append(reader.torn)


def question_of(wanted: Wanted) -> Question:
    """Give what the index is asked for."""
    asked = {
        "type": wanted.event_type,
        "session": wanted.session_id,
        "agent": wanted.agent_did,
        "trace": wanted.trace,
    }
    hashes = {name: hash_of(text) for name, text in asked.items() if text is not None}
    return Question(hashes, wanted.since_ns, wanted.until_ns)


def _turned(found: Iterator[Entry]) -> Iterator[Entry]:
    yield from reversed(list(found))


def _torn_text(places: Sequence[Damage]) -> str:
    many = len(places) > 1
    what = f"{len(places)} runs end" if many else "a run ends"
    return (
        f"{what} in the middle of a record, because the process was killed while writing it;"
        f" that event was never accepted{', the first one' if many else ''}: {places[0].path}"
    )


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


def _segments_of(runs: Iterable[Run]) -> int:
    count = 0
    for run in runs:
        with contextlib.suppress(OSError):  # told of when that run is read
            count += len(run.segments())
    return count


def _time(entry: Entry) -> int:
    return entry.event.timestamp_ns
