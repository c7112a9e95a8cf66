"""Prove a run: every record is what was written, where it was written, and none is missing."""

from collections.abc import Iterable, Mapping
from enum import Enum
from errno import ENOENT
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from hypervisor_journal.format.frames import BadBytesError, SegmentHeader
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.chain_walk import BadRecordError, ChainWalk
from hypervisor_journal.reading.reader import in_force
from hypervisor_journal.reading.segment_reader import SegmentReader
from hypervisor_journal.runs.runs import Run

_TRIES = 5


class Verdict(Enum):
    """What was found."""

    PROVEN = "proven"
    UNANCHORED = "unanchored"
    INCOMPLETE = "incomplete"
    BAD = "bad"
    UNREADABLE = "unreadable"


@frozen(kw_only=True)
class Verification:
    """What is known of a run.

    Attributes:
        verdict: ``PROVEN``: an anchor shows that the run is whole up to it. ``UNANCHORED``: all
            records follow each other, but nothing outside the run says that none was cut off at
            the end, or that the run was not rewritten. ``INCOMPLETE``: as ``UNANCHORED``, but some
            records never came from another machine, or are gone. ``BAD``: something is wrong.
            ``UNREADABLE``: the system did not let it be read, so nothing was found out.
        events: Events that were read.
        erased: Those of them whose payload is gone.
        lost: Events that the writer could not write, as it said itself.
        anchored: Events that an anchor vouches for.
        bad_sequence: Sequence number of the first record that is wrong.
        reason: What is wrong with it, or what is not proven.
        missing: How many sequence numbers never came from another machine, or are gone.
        torn: Whether it ends in the middle of a record, because its process was killed while
            writing it. The event was never accepted, so nothing is wrong.
    """

    verdict: Verdict
    events: int = 0
    erased: int = 0
    lost: int = 0
    anchored: int = 0
    bad_sequence: int | None = None
    reason: str = ""
    torn: bool = False
    missing: int = 0


class _Segments:
    """The segments of a run, along which the walk goes."""

    def __init__(self, run: Run, anchors: Mapping[int, str]) -> None:
        self.run = run
        self.walk = ChainWalk(anchors=anchors)
        self.torn = False

    def prove(self) -> None:
        segments = self.run.segments()
        while segments and SegmentReader(segments[-1][1]).is_blank():
            segments.pop()  # it was begun when the machine stopped
            self.torn = True
        headers = [self._header(path) for _, path in segments]
        for place, (number, _) in enumerate(segments):
            if number != segments[0][0] + place:
                raise BadRecordError(0, f"segment {number - 1} is missing")
            if headers[place].run != self.run.id or headers[place].number != number:
                raise BadRecordError(0, "the segment belongs elsewhere")
        if segments and segments[0][0] != 0:
            # The segments before went by retention; what they held is not proven.
            self.walk.begin_at(headers[0].first_sequence, headers[0].chain)
        valid = in_force(headers)
        paths = dict(segments)
        for header, following in zip_longest(valid, valid[1:]):
            self.walk.enter(header.first_sequence, header.chain, "segment")
            reader = SegmentReader(paths[header.number], following)
            for _, record in reader.records():
                self.walk.take(record)
            if reader.damage is not None:
                raise BadRecordError(self.walk.sequence, reader.damage.reason)
            self.torn = self.torn or reader.torn is not None
        self.walk.leave_number()

    def _header(self, path: Path) -> SegmentHeader:
        try:
            return SegmentReader(path).header()
        except BadBytesError as error:
            raise BadRecordError(0, f"{path}: {error}") from error

    def is_torn(self) -> bool:
        return self.torn and not self.run.is_alive()


def verify(run: Run, anchors: Iterable[Anchor] = ()) -> Verification:
    """Prove *run*.

    Args:
        run: The run.
        anchors: Kept elsewhere, and genuine; those of other runs are passed over.

    Raises:
        FileNotFoundError: It has gone.
    """
    ours = {one.sequence: one.chain for one in anchors if one.run == run.id.hex()}
    for _ in range(_TRIES):
        segments = _Segments(run, ours)
        bad: BadRecordError | None = None
        try:
            segments.prove()
        except FileNotFoundError:
            continue  # the bounds of the directory removed a segment meanwhile
        except OSError as error:
            return verification_of(
                segments.walk, Verdict.UNREADABLE, str(error), torn=segments.is_torn()
            )
        except BadRecordError as error:
            bad = error
        break
    else:
        raise FileNotFoundError(ENOENT, "the run goes while it is read", str(run.path))
    found = judge(segments.walk, bad)
    return found if found.verdict is Verdict.BAD else evolve(found, torn=segments.is_torn())


def judge(walk: ChainWalk, bad: BadRecordError | None = None) -> Verification:
    """Say what a walk over a whole run has shown.

    Args:
        walk: The walk, at the run's end, or at its first bad record.
        bad: What that is.
    """
    latest = max(walk.anchors, default=0)
    if bad is None and latest > walk.sequence:
        text = f"the run ends here, before the anchor at {latest}"
        bad = BadRecordError(walk.sequence, text)
    if bad is not None:
        return verification_of(walk, Verdict.BAD, str(bad), bad_sequence=bad.sequence)
    if walk.anchored == walk.sequence and walk.sequence:
        return verification_of(walk, Verdict.PROVEN)
    unproven = walk.sequence - walk.anchored
    reason = f"no anchor vouches for the last {unproven} events"
    return verification_of(walk, Verdict.UNANCHORED, reason)


def verification_of(
    walk: ChainWalk, verdict: Verdict, reason: str = "", **others: Any
) -> Verification:
    """Give what is known of a run from a walk over it; *others* are further attributes."""
    return Verification(
        verdict=verdict,
        events=walk.events,
        erased=walk.erased,
        lost=walk.lost,
        anchored=walk.anchored,
        reason=reason,
        **others,
    )
