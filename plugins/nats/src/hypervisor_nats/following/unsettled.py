"""What a reader was given and has not settled, in the order of positions."""

from collections import deque
from collections.abc import Sequence

from attrs import define, evolve, field

from hypervisor_nats.following.portion import Portion
from hypervisor_nats.following.term import Term
from hypervisor_observability.events.event import HypervisorEvent


@define(eq=False)
class Unsettled:
    """Portions of one term after the other.

    Attributes:
        position: Behind the last one that was given.
    """

    position: int = 0
    _portions: "deque[Portion]" = field(factory=deque, init=False)

    def give(self, portion: Portion) -> Portion:
        """Give *portion* the next position."""
        placed = evolve(portion, start=self.position)
        self.position = placed.stop
        self._portions.append(placed)
        return placed

    def take_back(self, position: int) -> list[Portion]:
        """Take back what was given behind *position*, the last one first."""
        returned = []
        while self._portions and self._portions[-1].stop > position:
            portion = self._portions.pop()
            if portion.start < position:
                kept, portion = portion.cut(position - portion.start - portion.skipped)
                self._portions.append(kept)
            returned.append(portion)
            self.position = portion.start
        return returned

    def settle(self, position: int) -> list[Term]:
        """Settle what stands before *position*; give the terms that it is of."""
        touched: dict[int, Term] = {}
        while self._portions and (
            self._portions[0].stop <= position or self._portions[0].start < position
        ):
            portion = self._portions.popleft()
            if portion.stop > position:
                portion, rest = portion.cut(position - portion.start - portion.skipped)
                self._portions.appendleft(rest)
            portion.term.settle(portion)
            touched[portion.term.partition] = portion.term
        return list(touched.values())

    def settle_what_is_passed(self) -> None:
        """Settle what has no events, and is behind nothing that has."""
        while self._portions and not self._portions[0].events:
            portion = self._portions.popleft()
            portion.term.settle(portion)

    def of(self, term: Term) -> list[Portion]:
        """Give what is of *term*."""
        return [one for one in self._portions if one.term is term]

    def forget(self, term: Term) -> None:
        """Forget what is of *term*: it is another agent's."""
        self._portions = deque(one for one in self._portions if one.term is not term)

    @property
    def by_run(self) -> list[tuple[str, Sequence[HypervisorEvent]]]:
        """The events, with the names of their runs."""
        return [(one.run, one.events) for one in self._portions if one.events]
