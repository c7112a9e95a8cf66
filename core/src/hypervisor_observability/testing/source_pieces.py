"""What a bus has seen of a run: pieces of work, with their ends and what stands below them."""

from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field

from ..events.event import HypervisorEvent
from ..recorder.kinds import KINDS

# A session has the causal id of what is around it, and a compensation one type for both its events.
_KINDS = {name: kind for name, kind in KINDS.items() if name not in ("session", "compensation")}
BEGINNINGS = {kind.begins.value: name for name, kind in _KINDS.items()}
ENDS = {
    one.value: name
    for name, kind in _KINDS.items()
    for one in (kind.ends, kind.fails)
    if one is not None
}
_NAMED_BY = {"tool": "tool_name", "model": "model", "step": "step_action"}

Id = tuple[str, str]


@define(eq=False)
class Piece:
    """A piece of work.

    Attributes:
        kind: ``run``, ``agent``, ``tool``, ``model`` and so on.
        start: The event of its beginning.
        ends: Those of its end: one, where the source is right.
        points: Other events that belong to it.
        parent: What it stands below.
        below: What stands below it, in the order of beginnings.
    """

    kind: str
    start: HypervisorEvent
    ends: list[HypervisorEvent] = field(factory=list)
    points: list[HypervisorEvent] = field(factory=list)
    parent: "Piece | None" = None
    below: "list[Piece]" = field(factory=list)

    @property
    def name(self) -> str:
        """Of the tool, the model or the run; of an agent its id."""
        if self.kind == "agent":
            return str(self.start.agent_did)
        return str(self.start.payload.get(_NAMED_BY.get(self.kind, "name"), ""))

    @property
    def is_orphan(self) -> bool:
        """Whether it stands below something that was not seen."""
        return self.parent is None and _above(self.start) is not None

    @property
    def call_id(self) -> object:
        """What the model calls the call by; some frameworks tell it at the end alone."""
        told = [one.payload.get("call_id") for one in (self.start, *self.ends)]
        return next((one for one in told if one is not None), None)

    @property
    def end(self) -> HypervisorEvent:
        """The event of its end.

        Raises:
            AssertionError: It has not ended, or more than once.
        """
        assert len(self.ends) == 1, f"{self} has {len(self.ends)} ends: close each key once"
        return self.ends[0]

    @property
    def status(self) -> object:
        """How it ended."""
        return self.end.payload.get("status")

    def above(self) -> "Iterator[Piece]":
        """Give what it stands below, the nearest first."""
        parent = self.parent
        while parent is not None:
            yield parent
            parent = parent.parent

    @property
    def root(self) -> "Piece":
        """What it stands below in the end."""
        return [self, *self.above()][-1]

    def nearest(self, *kinds: str) -> "Piece | None":
        """Give the nearest of these kinds that it stands below."""
        return next((one for one in self.above() if one.kind in kinds), None)

    def within(self) -> "Iterator[Piece]":
        """Give it and all below it."""
        yield self
        for one in self.below:
            yield from one.within()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@define(eq=False)
class Seen:
    """What was seen, as a forest.

    Attributes:
        events: All events, in their order.
        pieces: All pieces of work, in the order of their beginnings.
        stray: Ends without a beginning.
    """

    events: Sequence[HypervisorEvent]
    pieces: list[Piece] = field(factory=list)
    stray: list[HypervisorEvent] = field(factory=list)

    @classmethod
    def of(cls, events: Iterable[HypervisorEvent]) -> "Seen":
        """Find the pieces of work in *events*."""
        seen = cls(list(events))
        by_id: dict[Id | None, Piece] = {}
        others = []
        for event in seen.events:
            kind = BEGINNINGS.get(event.event_type.value)
            if kind is None:
                others.append(event)
                continue
            piece = Piece(kind, event)
            seen.pieces.append(piece)
            by_id[own_id(event)] = piece
        by_id.pop(None, None)
        for piece in seen.pieces:
            piece.parent = by_id.get(_above(piece.start))
            if piece.parent is not None:
                piece.parent.below.append(piece)
        for event in others:
            owner, kind = by_id.get(own_id(event)), ENDS.get(event.event_type.value)
            if kind is not None and (owner is None or owner.kind != kind):
                seen.stray.append(event)
            elif owner is not None and kind is not None:
                owner.ends.append(event)
            elif owner := owner or by_id.get(_above(event)):
                owner.points.append(event)
        return seen

    def all(self, kind: str, name: str | None = None) -> list[Piece]:
        """Give the pieces of a *kind*, or those of that *name* alone."""
        return [
            one for one in self.pieces if one.kind == kind and (name is None or one.name == name)
        ]

    def one(self, kind: str, name: str) -> Piece:
        """Give the one piece of that *kind* and *name*.

        Raises:
            AssertionError: There is none, or more than one.
        """
        found = self.all(kind, name)
        assert len(found) == 1, f"expected one {kind} {name}, saw {len(found)}:\n{self.text()}"
        return found[0]

    def owner(self, event: HypervisorEvent) -> Piece | None:
        """Give the piece that an event without an extent belongs to."""
        return next((one for one in self.pieces if any(event is own for own in one.points)), None)

    def points(self, event_type: str) -> list[HypervisorEvent]:
        """Give the events of a type that has no extent."""
        return [event for event in self.events if event.event_type.value == event_type]

    @property
    def still_open(self) -> list[Piece]:
        """What has not ended."""
        return [one for one in self.pieces if not one.ends]

    @property
    def roots(self) -> list[Piece]:
        """What stands below nothing."""
        return [one for one in self.pieces if one.parent is None]

    def text(self) -> str:
        """Draw it, for messages."""
        lines: list[str] = []

        def draw(piece: Piece, depth: int) -> None:
            ends = "+".join(str(one.payload.get("status")) for one in piece.ends) or "open"
            lines.append(f"{'  ' * depth}{piece} {ends}")
            lines.extend(f"{'  ' * depth}  - {one.event_type.value}" for one in piece.points)
            for one in piece.below:
                draw(one, depth + 1)

        for root in self.roots:
            draw(root, 1)
        lines.extend(f"  {one.event_type.value} of nothing that began" for one in self.stray)
        return "\n".join(lines) or "  nothing"


def own_id(event: HypervisorEvent) -> Id | None:
    """Give the trace and the span of an event; None where it has none."""
    trace = event.causal_trace_id
    return None if trace is None else (_parts(trace)[0], _parts(trace)[1])


def _above(event: HypervisorEvent) -> Id | None:
    trace = event.causal_trace_id
    parts = [] if trace is None else _parts(trace)
    return (parts[0], parts[2]) if len(parts) > 2 else None


def _parts(trace: object) -> list[str]:
    return str(trace).split("/")
