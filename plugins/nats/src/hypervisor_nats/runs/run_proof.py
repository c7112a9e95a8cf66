"""The proof of one run, from what of it arrived in the stream."""

from collections.abc import Iterable, Iterator, Mapping

from attrs import define, evolve, field

from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.chain_walk import BadRecordError, ChainWalk
from hypervisor_journal.proof.verification import Verdict, Verification, judge, verification_of
from hypervisor_nats.messages import Head
from hypervisor_nats.runs.checked_run import CheckedRun

_MOST_HOLES = 3


def run_id(name: str) -> str:
    """Give the id of a run, which stands in its anchors, in hexadecimal digits."""
    return name.rpartition("-")[2]


@define(eq=False)
class RunProof:
    """Takes the messages of a run in the order of the stream, and says what they prove.

    Attributes:
        name: Of the run.
        anchors: Kept elsewhere, and genuine, of this run.
    """

    name: str
    anchors: Iterable[Anchor] = ()
    _run: CheckedRun = field(init=False)
    _missing: int = field(default=0, init=False)
    _holes: list[tuple[int, int]] = field(factory=list, init=False)
    """The first places where numbers are missing: the first one, and the one behind."""
    _late: int = field(default=0, init=False)
    """Messages that would fill such a place, but came behind later ones."""
    _odd: int = field(default=0, init=False)
    """Messages that repeat what was proven, and are damaged."""

    def __attrs_post_init__(self) -> None:
        """Begin with nothing."""
        anchors: Mapping[int, str] = {one.sequence: one.chain for one in self.anchors}
        self._run = CheckedRun(self.name, walk=ChainWalk(anchors=anchors))

    def take(self, head: Head, data: bytes) -> None:
        """Take the next message."""
        run = self._run
        begun, number = run.chain is not None, run.next
        taken = run.take(head, data)
        if not begun and run.begins:
            self._holes.append((0, run.begins))
            self._missing = run.begins
        elif taken.missing:
            self._missing += taken.missing
            if len(self._holes) < _MOST_HOLES:
                self._holes.append((number, number + taken.missing))
        if run.bad is None:
            self._odd += taken.problem is not None
            fills = (head.first < behind and head.next > first for first, behind in self._holes)
            self._late += head.next <= number and any(fills)

    def verification(self) -> Verification:
        """Say what is known of the run."""
        run, walk = self._run, self._run.walk
        bad: BadRecordError | None = None
        if run.bad is not None:
            reason = run.bad.removeprefix(f"number {run.bad_at}: ")
            bad = BadRecordError(run.bad_at or 0, reason)
        elif run.ended:
            try:
                walk.leave_number()
            except BadRecordError as error:
                bad = error
        latest = max(walk.anchors, default=0)
        if bad is None and self._missing:
            found = verification_of(walk, Verdict.INCOMPLETE, self._missing_text())
        elif bad is None and latest > walk.sequence and not run.ended:
            text = f"it came as far as {walk.sequence}, and there is an anchor at {latest}"
            found = verification_of(walk, Verdict.INCOMPLETE, text)
        else:
            found = judge(walk, bad)
        reason = "; ".join(filter(None, (found.reason, *self._remarks())))
        return evolve(found, reason=reason, missing=self._missing)

    def _missing_text(self) -> str:
        shown = [
            f"{first} to {behind - 1}" + ("" if first else " (its beginning)")
            for first, behind in self._holes
        ]
        left = self._missing - sum(behind - first for first, behind in self._holes)
        more = f" and {left:,} more" if left else ""
        return f"not in the stream: numbers {', '.join(shown)}{more}"

    def _remarks(self) -> Iterator[str]:
        if self._late:
            yield f"messages with such numbers that came later, and prove nothing: {self._late}"
        if self._odd:
            yield f"damaged messages that repeat what is proven, and were passed over: {self._odd}"
