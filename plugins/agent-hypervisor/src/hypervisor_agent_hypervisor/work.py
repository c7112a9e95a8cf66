"""Pieces of their work that last: sessions with their agents, sagas with their steps."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any, Generic, TypeVar

from attrs import define, field

MAX_KEPT = 10_000
"""How many sessions and sagas are followed at once: as many as the recorder keeps open."""

T = TypeVar("T")
_numbers = count()


def new_key(kind: str, name: object) -> Hashable:
    """Give a key under which nothing was recorded yet. Their ids may be given out twice."""
    return ("agent-hypervisor", kind, name, next(_numbers))


@define(eq=False)
class StepWork:
    """A step of a saga.

    Attributes:
        step: Theirs; it may be gone.
        saga: What it belongs to; None: that was never told.
        above: The key of what it stands below; None: its saga's.
        key: Of its last attempt, and
        undo_key: of its compensation, once that has begun.
        is_led: Whether an orchestrator runs it right now, in the running context.
    """

    step: "weakref.ref[Any]"
    saga: "SagaWork | None" = None
    above: Hashable | None = None
    key: Hashable | None = None
    undo_key: Hashable | None = None
    is_led: bool = False


@define(eq=False)
class SagaWork:
    """A saga.

    Attributes:
        saga_id: Theirs.
        session_id: Of its session.
        created_ns: When it was created, in nanoseconds since the epoch; None: it was recorded then.
        key: Under which it is recorded; None: it waits for its first step, which tells whose it is.
        is_over: Whether its end was recorded.
        is_compensating: Whether it is being undone.
        failures: Why steps failed that nobody has tried again, by the ``id`` of the step.
        running: The steps that run, by their ``id``.
        has_steps: Whether one was added.
        undone: Those that were added and have not been committed, likewise.
    """

    saga_id: str
    session_id: str | None
    created_ns: int | None = None
    key: Hashable | None = None
    is_over: bool = False
    is_compensating: bool = False
    failures: dict[int, str] = field(factory=dict)
    running: set[int] = field(factory=set)
    has_steps: bool = False
    undone: set[int] = field(factory=set)


@define(eq=False)
class SessionWork:
    """A session.

    Attributes:
        session_id: Theirs.
        sso: Their object; it may be gone.
        key: Under which it is recorded.
        agents: The keys of those who have joined and not left, by id.
        joined: All who have joined.
        created_at: When theirs was created, which a copy of it repeats.
        sagas: Its sagas that have not ended, by id.
        is_over: Whether its end was recorded.
        audit: What is known of its audit, for its last event.
    """

    session_id: str
    sso: "weakref.ref[Any]"
    key: Hashable
    agents: dict[str, Hashable] = field(factory=dict)
    joined: set[str] = field(factory=set)
    created_at: object = None
    sagas: dict[str, SagaWork] = field(factory=dict)
    is_over: bool = False
    audit: dict[str, Any] = field(factory=dict)


class Steps:
    """Steps by the object: they are not hashable, and their ids need not be unique."""

    def __init__(self) -> None:
        self._known: dict[int, StepWork] = {}

    def of(self, step: Any) -> StepWork:
        """Give what is known of *step*."""
        known = self._known.get(id(step))
        if known is not None and known.step() is step:
            return known
        number, kept = id(step), self._known

        def forget(gone: "weakref.ref[Any]") -> None:
            found = kept.get(number)
            if found is not None and found.step is gone:
                del kept[number]

        found = kept[number] = StepWork(weakref.ref(step, forget))
        return found


class Kept(Generic[T]):
    """Things by their id: so many that go on, the oldest of which gives way to the newest of too
    many, and so many that are over.

    One that goes on for long does not give way to those that have come and gone meanwhile.
    """

    def __init__(self, gave_way: Callable[[T], object]) -> None:
        self._going_on: OrderedDict[str, T] = OrderedDict()
        self._over: OrderedDict[str, T] = OrderedDict()
        self._gave_way = gave_way

    def get(self, one_id: Any) -> T | None:
        """Give what has that id."""
        try:
            return self._going_on.get(one_id) or self._over.get(one_id)
        except TypeError:  # what cannot be hashed
            return None

    def put(self, one_id: str, thing: T) -> None:
        """Keep *thing*, in the place of what had that id."""
        self._over.pop(one_id, None)
        self._going_on.pop(one_id, None)
        self._going_on[one_id] = thing
        oldest = _surplus(self._going_on)
        if oldest is not None:
            self._gave_way(oldest)

    def is_over(self, one_id: str, thing: T) -> None:
        """Note that *thing* is over."""
        if self._going_on.get(one_id) is thing:
            self._over[one_id] = thing
            self._going_on.pop(one_id, None)
            _surplus(self._over)

    def newest_first(self) -> list[T]:
        """Give all that go on."""
        return list(self._going_on.values())[::-1]


def _surplus(things: "OrderedDict[str, T]") -> T | None:
    """Take out the oldest of too many; None: they are not too many."""
    if len(things) <= MAX_KEPT:
        return None
    try:
        return things.popitem(last=False)[1]
    except KeyError:  # another thread was faster
        return None
