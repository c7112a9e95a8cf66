"""The parts of a stream, and what a reader keeps for each.

A store that several agents share is read by parts, each of which belongs to one agent at a time
(``stores/followed.py`` has the contract). Any other stream is one part, for good.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, field, frozen

from ..bus.stream import Cursor
from ..events.event import HypervisorEvent

Kept = TypeVar("Kept")

WHOLE = ""
"""The part of a stream that has one."""
ONE_PART: Mapping[str, int] = MappingProxyType({WHOLE: 0})
"""The parts of such a stream, with the number of its term."""


class Parts(Protocol):
    """The parts of a stream that are this process's, and what was saved of each."""

    @property
    def shared(self) -> bool:
        """Whether other processes have parts of it, too."""

    @property
    def parts(self) -> Mapping[str, int]:
        """Those that are this process's now, each with the number of its term."""

    @property
    def part(self) -> str | None:
        """The part of the last reading that had events."""

    def state_of(self, part: str) -> Mapping[str, Any] | None:
        """Give what was saved along with the position in *part*.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Read again what was settled since then, with the names of the runs.

        Raises:
            StreamUnavailableError: It cannot be read at present: begin from *state_of* again.
        """

    def left(self) -> Mapping[str, int]:
        """Tell why events were passed over so far: how many by reason."""


@frozen
class OnePart:
    """The one part of a cursor that knows of none; without a cursor, nothing was saved."""

    _cursor: Cursor | None
    shared = False
    parts = ONE_PART
    part = WHOLE

    def state_of(self, _part: str) -> Mapping[str, Any] | None:
        """Give what was saved along with the position."""
        return None if self._cursor is None else self._cursor.state

    def since_state_of(self, _part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Read again what was settled since then; of which run it is does not matter."""
        if self._cursor is not None:
            for events in self._cursor.since_state():
                yield "", events

    def left(self) -> Mapping[str, int]:
        """Tell nothing: the account knows."""
        return {}


@define(eq=False)
class PerPart(Generic[Kept]):
    """Keep something for each part, from when this process gets it until it loses it.

    One thread takes parts up; any may look at what is kept.

    Attributes:
        begin: Makes what is kept for a part, from what was saved. May raise
            ``StreamUnavailableError``.
        end: Told of what is not kept any more.
    """

    _parts: Parts
    begin: Callable[[str], Kept]
    end: Callable[[Kept], object] = field(default=lambda _: None)
    _kept: Mapping[str, tuple[int, Kept]] = field(factory=dict, init=False)

    def take(self) -> None:
        """Take up the parts that this process has got, and let those go that it has lost.

        To be called before each reading: nothing is read of a part that was not taken up.

        Raises:
            StreamUnavailableError: One cannot be taken up at present: call it again.
        """
        now = self._parts.parts
        if len(now) == len(self._kept) and all(
            now.get(part) == term for part, (term, _) in self._kept.items()
        ):
            return
        for part, (term, kept) in list(self._kept.items()):
            if now.get(part) != term:
                self._kept = {one: of for one, of in self._kept.items() if one != part}
                self.end(kept)
        for part, term in now.items():
            if part not in self._kept:
                self._kept = {**self._kept, part: (term, self.begin(part))}

    def of(self, part: str | None) -> Kept | None:
        """Give what is kept for *part*; None where it was not taken up."""
        found = None if part is None else self._kept.get(part)
        return None if found is None else found[1]

    def values(self) -> list[Kept]:
        """Give all that is kept."""
        return [kept for _, kept in self._kept.values()]

    def items(self) -> list[tuple[str, Kept]]:
        """Give what is kept, by part."""
        return [(part, kept) for part, (_, kept) in self._kept.items()]
