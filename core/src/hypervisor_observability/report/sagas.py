"""The story of a saga: its steps and compensations, each with its time."""

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import payload_facts, saga_facts

MOST_PIECES = 60
"""How many steps and compensations of a saga are kept: the first."""
_MOST_LEFT = 10_000

_STARTS = EventType.SAGA_STEP_STARTED
_ENDS = frozenset({EventType.SAGA_STEP_COMMITTED, EventType.SAGA_STEP_FAILED})
SAGA_TYPES = frozenset(
    {
        EventType.SAGA_CREATED,
        _STARTS,
        *_ENDS,
        EventType.SAGA_COMPENSATING,
        *saga_facts.SAGA_ENDS,
    }
)


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
    """

    name: str
    begun_ns: int
    ended_ns: int = 0
    outcome: str = "running"
    pieces: list[Piece] = field(factory=list)
    left_out: int = 0
    _by_key: dict[tuple[str, ...], Piece] = field(factory=dict, init=False)
    # Of what was left out, so that its end is not counted once more.
    _left: set[int] = field(factory=set, init=False)

    def piece(self, key: tuple[str, ...], title: str, now_ns: int, *, anew: bool) -> Piece:
        """Give the piece with a key, a new one where there is none or it begins *anew*.

        Args:
            key: The kind, the name and, where it is said, the attempt.
            title: What it does.
            now_ns: When it began, if it is new.
            anew: Whether it is.
        """
        piece = self._by_key.get(key)
        if piece is None or anew:
            piece = Piece(title, now_ns)
            if len(self.pieces) < MOST_PIECES:
                self.pieces.append(piece)
                self._by_key[key] = self._by_key[key[:2]] = piece
            else:
                self._leave_out(key, anew=anew)
        return piece

    def _leave_out(self, key: tuple[str, ...], *, anew: bool) -> None:
        if anew or hash(key) not in self._left:
            self.left_out += 1
        if len(self._left) < _MOST_LEFT:
            # An end may not say which attempt it is of.
            self._left |= {hash(key), hash(key[:2])}

    def undo(self, name: str) -> None:
        """Note that a step was undone: its last attempt."""
        step = self._by_key.get(("step", name))
        if step is not None and step.state == "committed":
            step.state = "undone"


def tell_saga(saga: SagaStory, event: HypervisorEvent) -> None:
    """Add what *event* tells to the story."""
    now, kind = event.timestamp_ns, event.event_type
    saga.begun_ns = min(saga.begun_ns, now)
    saga.ended_ns = max(saga.ended_ns, now)
    step, title = saga_facts.step_id(event), saga_facts.step_title(event) or "step"
    attempt = (saga_facts.attempt(event),)
    if kind == _STARTS:
        saga.piece(("step", step, *attempt), title, now, anew=True)
    elif kind in _ENDS:
        # Without a number, it is the newest attempt.
        numbered = attempt if payload_facts.has(event, "attempt") else ()
        piece = saga.piece(("step", step, *numbered), title, now, anew=False)
        piece.ended_ns, piece.state = max(now, piece.begun_ns), saga_facts.step_end(event)
    elif kind == EventType.SAGA_COMPENSATING:
        _compensate(saga, event, step, title if title.startswith("undo") else f"undo {title}")
    elif kind in saga_facts.SAGA_ENDS:
        saga.outcome = saga_facts.outcome(event)


def _compensate(saga: SagaStory, event: HypervisorEvent, step: str, title: str) -> None:
    phase, now = saga_facts.phase(event), event.timestamp_ns
    piece = saga.piece(("compensation", step), title, now, anew=phase == "started")
    if phase == "started":
        return
    piece.ended_ns = max(now, piece.begun_ns)
    piece.state = phase if phase in {"failed", payload_facts.ERASED} else "compensated"
    if phase not in {"failed", payload_facts.ERASED}:
        saga.undo(saga_facts.undone_step(event))
