"""What the source sees of a block of code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from attrs import define, field

from hypervisor_langchain import LangChainSource
from hypervisor_observability import HypervisorEvent, Observability, Recorder
from hypervisor_observability.testing.source_pieces import Piece, Seen
from hypervisor_observability.testing.source_tests import check_seen, faultless

Content = Literal["none", "names", "all"]


@define
class Watched:
    """What was seen, once the block is over.

    Attributes:
        observability: With the source.
        seen: Complete, and right in what holds of every run.
    """

    observability: Observability
    seen: Seen = field(init=False)

    @property
    def recorder(self) -> Recorder:
        return self.observability.recorder

    @property
    def events(self) -> tuple[HypervisorEvent, ...]:
        return tuple(self.observability.bus.all_events)

    def one(self, kind: str, name: str) -> Piece:
        return self.seen.one(kind, name)

    def tree(self) -> list[str]:
        """Give the kind, name and status of each piece, indented as it stands."""
        lines: list[str] = []

        def draw(piece: Piece, depth: int) -> None:
            lines.append(f"{'  ' * depth}{piece.kind} {piece.name} {piece.status}")
            for one in piece.below:
                draw(one, depth + 1)

        for root in self.seen.roots:
            draw(root, 0)
        return lines

    def payloads(self, event_type: str) -> list[dict[str, Any]]:
        return [dict(one.payload) for one in self.events if one.event_type.value == event_type]


@contextmanager
def watching(content: Content = "names") -> Iterator[Watched]:
    """Watch a block. What begins in it must have ended with it."""
    source = LangChainSource(content=content)
    with faultless(), Observability(plugins=[source]) as observability:
        watched = Watched(observability)
        yield watched
        watched.seen = Seen.of(observability.bus.all_events)
        if watched.seen.pieces:
            check_seen(watched.seen)
        status = observability.status()["sources"]["langchain"]
        assert status["errors"] == 0
