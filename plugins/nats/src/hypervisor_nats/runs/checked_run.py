"""A run as it arrives in the stream, message by message: given once, in order, and proven.

A message is taken where it belongs: behind the last one, or, where it repeats what was taken, at
the seam. There the chain value must be the one that was reached. Numbers that never came end one
chain, and the message behind them begins another. Whatever contradicts all that makes the run
*bad* for good: nothing is taken any more, because nothing says which part of it is true.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from attrs import define, field, frozen

from hypervisor_journal.format.frames import EVENT, GAP, BadBytesError, Record, gap_count
from hypervisor_journal.proof.chain_walk import BadRecordError, ChainWalk
from hypervisor_nats.messages import Head, StrangeMessageError, records_of
from hypervisor_nats.runs.seams import fit


@frozen
class Taken:
    """What a message has brought.

    Attributes:
        records: Records of events that are new and proven, in order.
        missing: How many numbers before them never came.
        problem: What is wrong with the message, for people; None: nothing.
        unverified: How many events it holds, by its own account, that were not given because of
            that.
    """

    records: Sequence[Record] = ()
    missing: int = 0
    problem: str | None = None
    unverified: int = 0


@define(eq=False)
class CheckedRun:
    """A run, as far as it was read.

    Attributes:
        name: Its name.
        next: Sequence number that comes next.
        chain: Chain value behind the last record that takes a number; None: nothing was seen yet,
            or, of a run that has ended, it is not known any more.
        ended: Whether its last message was taken.
        bad: What is wrong with it, for people; None: nothing.
        begins: Sequence number of the first record that was seen.
        bad_at: Sequence number of the first record that is not proven.
        walk: The walk over its records, with what is counted on it.
    """

    name: str
    next: int = 0
    chain: bytes | None = None
    ended: bool = False
    bad: str | None = None
    begins: int = 0
    bad_at: int | None = None
    walk: ChainWalk = field(factory=ChainWalk, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.chain is not None:
            self.walk.begin_at(self.next, self.chain)

    def take(self, head: Head, data: bytes) -> Taken:
        """Take the message that comes next in the stream. Never raises.

        Args:
            head: What its headers say.
            data: Its records.
        """
        if head.run != self.name:
            return Taken(problem=f"a message of the run {head.run}", unverified=head.count)
        if self.bad is not None:
            return Taken(problem=self.bad, unverified=head.count)
        missing, repeated, records = 0, 0, list[Record]()
        found, bad = _read(head, data)
        try:
            if bad is not None and (head.next <= self.next or not found):
                raise BadRecordError(self._place_of(head), bad)
            missing, repeated = self._enter(head, found)
            for record in found[repeated:]:
                self.walk.take(record)
                records.append(record)
            if bad is not None:
                raise BadRecordError(self.walk.sequence, bad)
        except BadRecordError as error:
            # A message that only repeats what was proven takes nothing from it.
            spoils = head.next > self.next or error.sequence >= self.next
            place = max(self.next, error.sequence) if spoils else error.sequence
            bad = f"number {place}: {error}"
            if spoils:
                self.bad, self.bad_at = bad, place
        else:
            self.ended = self.ended or head.ended
        self._note(records)
        events = [record for record in records if record.kind == EVENT]
        if bad is None:
            return Taken(events, missing)
        passed = sum(record.kind == EVENT for record in found[:repeated])
        return Taken(events, missing, bad, max(0, head.count - passed - len(events)))

    def _enter(self, head: Head, found: Sequence[Record]) -> tuple[int, int]:
        """Go to where the message belongs.

        Returns:
            How many numbers before it never came, and how many of its records were taken before.

        Raises:
            BadRecordError: It belongs nowhere.
        """
        place = fit(self, head)
        if place.repeats:
            return 0, self._pass_repeated(head, found)
        if place.follows:
            self.walk.enter(head.first, head.chain, "message")
        else:
            if self.chain is None:
                self.begins = head.first
            self.walk.begin_at(head.first, head.chain)
        self.next, self.chain = head.first, head.chain
        return place.missing, 0

    def _pass_repeated(self, head: Head, found: Sequence[Record]) -> int:
        """Give how many records were taken before; the chain must agree where they end."""
        again = ChainWalk(head.first, head.chain, head.first)
        repeated = 0
        for record in found:
            if record.sequence < self.next:
                again.take(record)
            elif _takes_number(record) or not self.ended:
                break
            repeated += 1
        if again.sequence > self.next or (again.sequence < self.next and repeated < len(found)):
            raise BadRecordError(self.next, "it repeats records in another way")
        if again.sequence == self.next and self.chain not in (None, again.chain):
            raise BadRecordError(self.next, "the same numbers came with other records")
        return repeated

    def _place_of(self, head: Head) -> int:
        """Give the number of which it can be said that a damaged message spoils it."""
        return head.first if self.chain is None or head.next <= self.next else self.next

    def _note(self, records: Sequence[Record]) -> None:
        if self.chain is not None:
            self.next = self.walk.sequence
            numbered = (record.chain for record in reversed(records) if _takes_number(record))
            self.chain = next(numbered, self.chain)

    def to_json(self) -> dict[str, Any]:
        """Write it, as plain values."""
        return {
            "name": self.name,
            "next": self.next,
            "chain": None if self.chain is None else self.chain.hex(),
            "ended": self.ended,
            "bad": self.bad,
            "begins": self.begins,
            "bad_at": self.bad_at,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            KeyError: Something is missing.
            ValueError: The chain value is not hexadecimal.
            TypeError: The chain value is not text.
        """
        chain = values["chain"]
        return cls(
            name=values["name"],
            next=values["next"],
            chain=None if chain is None else bytes.fromhex(chain),
            ended=values["ended"],
            bad=values["bad"],
            begins=values["begins"],
            bad_at=values["bad_at"],
        )


def _read(head: Head, data: bytes) -> tuple[list[Record], str | None]:
    """Give the records up to the first damage; and that, or how the headers contradict them."""
    found: list[Record] = []
    try:
        found.extend(records_of(data))
        contradiction = _contradiction(head, found)
    except (StrangeMessageError, BadBytesError) as error:
        return found, str(error)
    return ([], contradiction) if contradiction else (found, None)


def _contradiction(head: Head, found: Sequence[Record]) -> str | None:
    """Say which header does not tell of the records as they are."""
    numbered = [record for record in found if _takes_number(record)]
    times = [record.time_ns for record in found if record.kind == EVENT]
    last = numbered[-1] if numbered else None
    told = {
        "first number": (head.first, found[0].sequence if found else head.next),
        "next number": (
            head.next, head.first if last is None else last.sequence + _numbers_of(last)
        ),
        "count": (head.count, len(times)),
        "times": ((head.from_ns, head.until_ns), (min(times, default=0), max(times, default=0))),
        "chain value": (head.then, head.chain if last is None else last.chain),
        "end": (head.ended or (bool(found) and found[-1] is last), True),
    }  # fmt: skip
    odd = [name for name, (said, is_so) in told.items() if said != is_so]
    return f"its headers and its records disagree: {', '.join(odd)}" if odd else None


def _takes_number(record: Record) -> bool:
    return record.kind in (EVENT, GAP)


def _numbers_of(record: Record) -> int:
    return gap_count(record) if record.kind == GAP else 1
