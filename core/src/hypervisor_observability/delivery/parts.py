"""The parts of a stream, and what a reader keeps for each.

A store that several agents share is read by parts, each of which belongs to one agent at a time
(``stores/followed.py`` has the contract). Any other stream is always one part.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, field, frozen

from ..bus.stream import Cursor
from ..events.event import HypervisorEvent

Kept = TypeVar("Kept")

WHOLE = ""
"""The part of a stream that has only one."""
ONE_PART: Mapping[str, int] = MappingProxyType({WHOLE: 0})
"""The parts of such a stream, with the number of its term."""


class Parts(Protocol):
    """The parts of a stream that this process owns, and what was saved of each."""

    @property
    def shared(self) -> bool:
        """Whether other processes may own parts of it."""

    @property
    def parts(self) -> Mapping[str, int]:
        """The parts that this process owns now, each with the number of its term."""

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
        """Give how many events were skipped so far, by reason."""


@frozen
class OnePart:
    """A stream as one part, with its cursor; without a cursor, nothing was saved."""

    _cursor: Cursor | None
    shared = False
    parts = ONE_PART
    part = WHOLE

    def state_of(self, _part: str) -> Mapping[str, Any] | None:
        """Give what was saved along with the position."""
        return None if self._cursor is None else self._cursor.state

    def since_state_of(self, _part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Read again what was settled since then; the names of the runs do not matter."""
        if self._cursor is not None:
            for events in self._cursor.since_state():
                yield "", events

    def left(self) -> Mapping[str, int]:
        """Give nothing: the account counts what it skips."""
        return {}


@define(eq=False)
class PerPart(Generic[Kept]):
    """Keep something for each part, for as long as this process owns it.

    One thread takes parts; any thread may look at what is kept.

    Attributes:
        begin: Makes what is kept for a part, from what was saved. May raise
            ``StreamUnavailableError``.
        end: Called with what is no longer kept.
    """

    _parts: Parts
    begin: Callable[[str], Kept]
    end: Callable[[Kept], object] = field(default=lambda _: None)
    _kept: Mapping[str, tuple[int, Kept]] = field(factory=dict, init=False)

    def take(self) -> None:
        """Begin with the parts that are new here, and end those that this process has lost.

        Call it before each reading: a part must be taken before it is read.

        Raises:
            StreamUnavailableError: A part cannot be taken at present: call it again.
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
        """Give what is kept for *part*; None if it was not taken."""
        found = None if part is None else self._kept.get(part)
        return None if found is None else found[1]

    def values(self) -> list[Kept]:
        """Give all that is kept."""
        return [kept for _, kept in self._kept.values()]

    def items(self) -> list[tuple[str, Kept]]:
        """Give what is kept, by part."""
        return [(part, kept) for part, (_, kept) in self._kept.items()]
