"""Retention: which segments of a journal's directory go, and when.

One process of all that write a directory does it at a time. It looks at what lives, and knows of
the dead what the ledger says: a pass does not grow with what they hold.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from math import inf
from pathlib import Path

from attrs import define, field, frozen

from hypervisor_journal.locks import try_lock
from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.runs.run_ledger import EndedRun, EndedSegment, RunLedger
from hypervisor_journal.runs.runs import Run, remove_half_made, run_names

_TIDY_SECONDS = 0.25
"""Longest time for which a pass looks into runs of which the ledger knows nothing yet."""


@frozen
class Retention:
    """The bounds of a directory. Who reads a segment late counts what it held as expired.

    Attributes:
        max_bytes: Most bytes on the disk; the segments that were written to the longest time ago
            go first, whichever run they are of.
        max_age_seconds: Longest time since a segment was last written to; None for no bound.
    """

    max_bytes: int
    max_age_seconds: float | None = None
    # By directory: a pass reads what the last one has not.
    _ledgers: dict[Path, RunLedger] = field(factory=dict, init=False, eq=False, repr=False)

    def apply(self, directory: Path) -> int:
        """Remove what is beyond the bounds, but never the newest segment of a living run.

        What dead processes have left without an event goes as well.

        Returns:
            Bytes that are left. Where another process does this at the moment: those that were
            left the last time.

        Raises:
            OSError: Something could not be looked at, or not be removed. All the rest was.
        """
        ledger = self._ledgers.setdefault(directory, RunLedger(directory))
        with _alone(directory) as alone:
            ledger.look()
            return self._apply(directory, ledger) if alone else ledger.total

    def _apply(self, directory: Path, ledger: RunLedger) -> int:
        remove_half_made(directory)
        names = run_names(directory)
        look = _Look(directory, ledger)
        look.at(names)
        oldest = -inf if self.max_age_seconds is None else time.time() - self.max_age_seconds
        if look.total > self.max_bytes or look.oldest < oldest:
            for candidate in look.candidates():
                if look.total <= self.max_bytes and candidate.time >= oldest:
                    break
                look.remove(candidate)
        ledger.note_total(look.total)
        ledger.compact(look.left)
        if look.error is not None:
            raise look.error
        return look.total


@frozen(order=True)
class _Candidate:
    """A segment that may go.

    Attributes:
        time: The least time of it and all behind it: what is erased in it later makes it no
            younger, and a run loses its oldest events first.
        run: Name of its run.
        number: Of the segment.
        size: Bytes that become free.
    """

    time: float
    run: str
    number: int
    size: int


@define(eq=False)
class _Look:
    """What one pass sees of a directory, and does to it.

    Attributes:
        directory: The journal's.
        ledger: What is known of dead runs.
        total: Bytes on the disk.
        oldest: When the segment was written to that was not for the longest time.
        error: What went wrong first. It keeps nothing else from being done.
    """

    directory: Path
    ledger: RunLedger
    total: int = 0
    oldest: float = inf
    error: OSError | None = None
    _living: dict[str, Sequence[EndedSegment]] = field(factory=dict)
    _dead: dict[str, EndedRun] = field(factory=dict)

    @property
    def left(self) -> Collection[str]:
        """Names of the dead runs that are still there."""
        return self._dead.keys()

    def at(self, names: Sequence[str]) -> None:
        """Look at the runs of these names."""
        known_runs, until = self.ledger.runs, time.monotonic() + _TIDY_SECONDS
        for name in names:
            known = known_runs.get(name)
            if known is None or not known.segments:
                try:
                    known = self._look_at(name, tidy=time.monotonic() < until)
                except FileNotFoundError:  # somebody has removed it
                    continue
                except OSError as error:
                    self.error = self.error or error
                    continue
            else:
                self._dead[name] = known
            self.total += known.other_bytes
            for segment in known.segments:  # there may be very many runs: nothing in vain
                self.total += segment.size
                self.oldest = min(self.oldest, segment.time)

    def _look_at(self, name: str, *, tidy: bool) -> EndedRun:
        """Look at a run of which the ledger does not know what it holds."""
        run = Run(self.directory / name)
        if run.is_written():
            known = run.ended(0)
            self._living[name] = known.segments
            return known
        if tidy:
            end_of(run, self.ledger)
        known = self.ledger.runs.get(name) or run.ended(0)
        if not known.segments:
            run.remove()  # no event is in it, and none will be
            return EndedRun(0, 0, ())
        self._dead[name] = known
        return known

    def candidates(self) -> list[_Candidate]:
        """Give what may go, the first to go first."""
        found = []
        for name, run in self._dead.items():
            found += _candidates_of(name, run.segments)
        for name, segments in self._living.items():
            found += _candidates_of(name, segments)[:-1]
        return sorted(found)

    def remove(self, candidate: _Candidate) -> None:
        """Remove a segment; with the last one of a dead run all of that."""
        run = Run(self.directory / candidate.run)
        try:
            run.segment_path(candidate.number).unlink(missing_ok=True)
        except OSError as error:
            self.error = self.error or error
            return
        self.total -= candidate.size
        known = self._dead.get(candidate.run)
        if known is None:
            return
        left = [one for one in known.segments if one.number != candidate.number]
        self._dead[candidate.run] = now = known._replace(segments=left)
        if not left:
            run.remove()
            self.total -= known.other_bytes
            del self._dead[candidate.run]
        elif candidate.run in self.ledger.runs:
            self.ledger.note(candidate.run, now)


def _candidates_of(name: str, segments: Sequence[EndedSegment]) -> list[_Candidate]:
    times = list(accumulate(reversed([one.time for one in segments]), min))[::-1]
    return [
        _Candidate(moment, name, one.number, one.size)
        for moment, one in zip(times, segments, strict=True)
    ]


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[bool]:
    """Hold the lock of who keeps the bounds; tell whether no other process does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            alone = try_lock(descriptor)
        except OSError:  # a file system that locks no directories: then all do the same work
            alone = True
        yield alone
    finally:
        os.close(descriptor)
