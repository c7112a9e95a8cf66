"""The story of a saga: its steps and compensations, each with its time."""

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts, saga_facts

MOST_PIECES = 60
"""How many steps and compensations of a saga are kept: the first."""
_MOST_LEFT = 10_000
_MOST_CHARACTERS = 300


@define(eq=False)
class Piece:
    """A step, or a compensation.

    Attributes:
        title: What it does.
        begun_ns: When it began; what was not recorded is when it ended.
        ended_ns: When it ended; None: it has not.
        state: ``running``, ``committed``, ``failed``, ``undone`` (a step that was undone),
            ``compensated`` (what undid it) or ``erased``.
    """

    title: str
    begun_ns: int
    ended_ns: int | None = None
    state: str = "running"


@define(eq=False)
class SagaStory:
    """A saga.

    Attributes:
        name: Its id.
        begun_ns: When it began.
        ended_ns: The time of the last event about it.
        outcome: How it ended; ``running`` until then.
        pieces: Its steps and compensations, in order.
        left_out: How many more there were.
        trace: The trace that it belongs to; None: to none.
        title: What kind of saga it is; empty: nobody said.
        undoing: Whether any of its steps was to be undone.
        reason: Why it did not end well, as far as it was told.
    """

    name: str
    begun_ns: int
    ended_ns: int = 0
    outcome: str = "running"
    pieces: list[Piece] = field(factory=list)
    left_out: int = 0
    trace: str | None = None
    title: str = ""
    undoing: bool = False
    reason: str = ""
    _by_key: dict[saga_facts.Key, Piece] = field(factory=dict, init=False)
    # Of what was left out, so that its end is not counted once more.
    _left: set[int] = field(factory=set, init=False)

    def piece(self, key: saga_facts.Key, title: str, now_ns: int, *, anew: bool) -> Piece:
        """Give the piece with a key, a new one where there is none or it begins *anew*.

        Args:
            key: As ``saga_facts.part_key`` gives it, without the attempt where that is not said.
            title: What it does.
            now_ns: When it began, if it is new.
            anew: Whether it is.
        """
        piece = self._by_key.get(key)
        if piece is None or anew:
            piece = Piece(title, now_ns)
            if len(self.pieces) < MOST_PIECES:
                self.pieces.append(piece)
                self._by_key[key] = self._by_key[key[:3]] = piece
            else:
                self._leave_out(key, anew=anew)
        return piece

    def _leave_out(self, key: saga_facts.Key, *, anew: bool) -> None:
        if anew or hash(key) not in self._left:
            self.left_out += 1
        if len(self._left) < _MOST_LEFT:
            # An end may not say which attempt it is of.
            self._left |= {hash(key), hash(key[:3])}

    def undo(self, step_id: str) -> None:
        """Note that a step was undone: its last attempt."""
        step = self._by_key.get(("step", self.name, step_id))
        if step is not None and step.state == "committed":
            step.state = "undone"


def tell_saga(saga: SagaStory, event: HypervisorEvent) -> None:
    """Add what *event* tells to the story."""
    now, kind = event.timestamp_ns, event.event_type
    saga.begun_ns = min(saga.begun_ns, now)
    saga.ended_ns = max(saga.ended_ns, now)
    if kind == EventType.SAGA_CREATED:
        saga.title = payload_facts.name(event, "name")[:_MOST_CHARACTERS]
    elif kind in saga_facts.SAGA_ENDS:
        saga.outcome = saga_facts.outcome(event)
        saga.reason = payload_facts.failure(event)[:_MOST_CHARACTERS] or saga.reason
    elif kind in saga_facts.PARTS:
        _tell_part(saga, event)


def _tell_part(saga: SagaStory, event: HypervisorEvent) -> None:
    now, kind = event.timestamp_ns, event.event_type
    title = saga_facts.step_title(event)[:_MOST_CHARACTERS] or "step"
    if kind == EventType.SAGA_COMPENSATING:
        saga.undoing = True
        end = saga_facts.undo_end(event)
        title = title if title.startswith("undo") else f"undo {title}"
    else:
        end = saga_facts.step_end(event) if kind in saga_facts.STEP_ENDS else None
    key = saga_facts.part_key(event) if end is None else saga_facts.ended_key(event)
    piece = saga.piece(key, title, now, anew=end is None)
    if end is None:
        return
    piece.ended_ns, piece.state = max(now, piece.begun_ns), end
    if end == "succeeded":
        piece.state = "compensated"
        saga.undo(saga_facts.undone_step(event))
