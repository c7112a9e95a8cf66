"""Which spans are open, and where what begins below them stands."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Literal

from attrs import define, field

MAX_OPEN = 10_000
"""Spans of which it is known that they are open; beyond, the oldest is forgotten. The recorder
closes the oldest work there, too."""
MAX_ENDED = 2_000
"""Spans that are remembered after their end, for what begins below them later."""

Kind = Literal["run", "agent", "tool", "model", "other"]


@define(eq=False)
class Run:
    """What all below one trace, or one run in it, share.

    Attributes:
        is_sensitive: Whether the run keeps its content out of its traces.
        is_implicit: Whether the SDK made the trace, for one run.
    """

    is_sensitive: bool = False
    is_implicit: bool = False


@define(eq=False)
class Turn:
    """A turn: one call of a model, as a rule, and what follows from it.

    Attributes:
        agent_key: The work in which it is.
        outer: The turn in which a tool is that is itself an agent with turns.
        start_ns: When it began, in nanoseconds since the epoch.
        model: The model of its agent.
        call_key: Of its latest call of a model; None: none was seen so far.
        own: Input and output tokens that calls of its own reported.
        inner: Those of turns within it.
    """

    agent_key: Hashable
    outer: "Turn | None"
    start_ns: int
    model: str
    call_key: Hashable = None
    own: tuple[int, int] = (0, 0)
    inner: tuple[int, int] = (0, 0)


@define(eq=False)
class Seat:
    """Where a span stands.

    Attributes:
        key: The work of ours in which what begins below it is.
        kind: Of that work.
        run: The run.
        turn: The turn.
        around: The exception that was handled as it began, by its ``id``: none of its own.
        is_work: Whether the span is work of ours itself.
        end: What ends it.
        failure: The type and the message of what the SDK has set as its error.
        told: What is known of it since its start.
    """

    key: Hashable
    kind: Kind
    run: Run
    turn: Turn | None = None
    around: int | None = None
    is_work: bool = False
    end: Callable[[Any, "Seat"], None] | None = None
    failure: tuple[str, str] | None = None
    told: dict[str, Any] = field(factory=dict)

    def within(self) -> "Seat":
        """Give the seat of a span within it that is no work of ours."""
        return Seat(self.key, self.kind, self.run, self.turn)


class Seats:
    """Seats by the ids of spans and traces; bounded, and shared by all threads.

    No lock, which a fork would find taken: each step is one operation of a dict in C, and its keys
    are strings, so no code of others runs within it.
    """

    def __init__(self) -> None:
        # OrderedDicts give their first entry at once; dicts look over all that were deleted.
        self._open: OrderedDict[str, Seat] = OrderedDict()
        self._ended: OrderedDict[str, Seat] = OrderedDict()

    def find(self, key: str) -> Seat | None:
        """Give the seat of a span, also after its end."""
        return self._open.get(key) or self._ended.get(key)

    def add(self, key: str, seat: Seat) -> None:
        """Add the seat of a span that begins."""
        self._open[key] = seat
        _shorten(self._open, MAX_OPEN)

    def end(self, key: str) -> Seat | None:
        """Take out the seat of a span that ends; None: it is not known to be open."""
        seat = self._open.get(key)
        if seat is None:
            return None
        self._ended[key] = seat  # first, so that it can be found at any time
        _shorten(self._ended, MAX_ENDED)
        return self._open.pop(key, None)

    def take_all(self) -> list[Seat]:
        """Take out all that are open, the latest first."""
        seats = list(reversed(self._open.values()))
        self._open.clear()
        return seats


def _shorten(seats: OrderedDict[str, Seat], most: int) -> None:
    if len(seats) > most:
        try:
            seats.popitem(last=False)
        except KeyError:  # another thread has taken all
            return
