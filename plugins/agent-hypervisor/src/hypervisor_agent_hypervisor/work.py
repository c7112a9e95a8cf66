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
    """

    saga_id: str
    session_id: str | None
    created_ns: int | None = None
    key: Hashable | None = None
    is_over: bool = False
    is_compensating: bool = False
    failures: dict[int, str] = field(factory=dict)
    running: set[int] = field(factory=set)


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
    """Things by their id, the oldest of which gives way to the newest of too many."""

    def __init__(self, gave_way: Callable[[T], object]) -> None:
        self._by_id: OrderedDict[str, T] = OrderedDict()
        self._gave_way = gave_way

    def get(self, one_id: Any) -> T | None:
        """Give what has that id."""
        try:
            return self._by_id.get(one_id)
        except TypeError:  # what cannot be hashed
            return None

    def put(self, one_id: str, thing: T) -> None:
        """Keep *thing*, in the place of what had that id."""
        self._by_id.pop(one_id, None)
        self._by_id[one_id] = thing
        if len(self._by_id) > MAX_KEPT:
            try:
                _, oldest = self._by_id.popitem(last=False)
            except KeyError:  # another thread was faster
                return
            self._gave_way(oldest)

    def newest_first(self) -> list[T]:
        """Give everything."""
        return list(self._by_id.values())[::-1]
