"""What a reader was given and has not settled, in the order of positions."""

from collections import deque
from collections.abc import Sequence

from attrs import define, evolve, field

from hypervisor_nats.following.portion import Portion
from hypervisor_nats.following.term import Term
from hypervisor_observability.events.event import HypervisorEvent

Given = tuple[Term, Portion]
"""A portion, and of which term it is."""


@define(eq=False)
class Unsettled:
    """Portions, the oldest first.

    Attributes:
        position: Behind the last one that was given.
    """

    position: int = 0
    _given: "deque[Given]" = field(factory=deque, init=False)

    def give(self, term: Term, portion: Portion) -> Portion:
        """Give *portion* the next position."""
        placed = evolve(portion, start=self.position)
        self.position = placed.stop
        self._given.append((term, placed))
        return placed

    def take_back(self, position: int) -> list[Given]:
        """Take back what was given behind *position*, the last one first."""
        returned = []
        while self._given and self._given[-1][1].stop > position:
            term, portion = self._given.pop()
            if portion.start < position:
                kept, portion = portion.cut(position - portion.start - portion.skipped)
                self._given.append((term, kept))
            returned.append((term, portion))
            self.position = portion.start
        return returned

    def settle(self, position: int) -> list[Term]:
        """Settle what stands before *position*; give the terms that it is of."""
        touched: dict[int, Term] = {}
        while self._given and (
            self._given[0][1].stop <= position or self._given[0][1].start < position
        ):
            term, portion = self._given.popleft()
            if portion.stop > position:
                portion, rest = portion.cut(position - portion.start - portion.skipped)
                self._given.appendleft((term, rest))
            term.settle(portion)
            touched[term.partition] = term
        return list(touched.values())

    def settle_what_is_passed(self) -> None:
        """Settle what has no events, and is behind nothing that has."""
        while self._given and not self._given[0][1].events:
            term, portion = self._given.popleft()
            term.settle(portion)

    def of(self, term: Term) -> list[Portion]:
        """Give what is of *term*."""
        return [portion for one, portion in self._given if one is term]

    def forget(self, term: Term) -> None:
        """Forget what is of *term*: it is another agent's."""
        self._given = deque(one for one in self._given if one[0] is not term)

    @property
    def by_run(self) -> list[tuple[str, Sequence[HypervisorEvent]]]:
        """The events, with the names of their runs."""
        return [(portion.run, portion.events) for _, portion in self._given if portion.events]
