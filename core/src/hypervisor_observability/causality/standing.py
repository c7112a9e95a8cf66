"""Where code stands: under which trace, and in which place of the recorder's.

One context variable holds it, so every asyncio task and every thread has its own. Each block
that changes it is entered with ``stand`` and left with ``leave``, and blocks may end in another
order than they began, or in another context: a generator that somebody else finalises does so.
A context is only ever led out of blocks that it entered itself; a task that was started within
a block stays there, though the block be over, because that is what caused it.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar, Token
from types import CodeType, FrameType
from typing import Any, Generic, TypeVar

from .lineage import Lineage

T = TypeVar("T")
TraceT = TypeVar("TraceT", bound=Lineage | None)

CONTEXTLIB = ExitStack.close.__code__.co_filename
"""The file whose frames enter and leave on behalf of their callers."""


class Standing:
    """What holds within a block.

    Attributes:
        trace: The causal trace id; None: there is none. Its class is built on this module.
        place: What the recorder knows of the place; None: nothing.
        outer: What held around the block; cut off when the block was left, or tasks that
            start each other within blocks would keep all that were before.
        astray: Whether the block ended where this could not be left: in another context, or
            before blocks within it. Whoever comes by next goes out.
        on_leave: Called when this was left, in the context that had entered it.
    """

    __slots__ = ("_token", "astray", "on_leave", "outer", "place", "trace")

    def __init__(self, trace: Lineage | None, place: Any, outer: "Standing | None" = None) -> None:
        self.trace: Any = trace
        self.place = place
        self.outer = outer
        self.astray = False
        self.on_leave: Callable[[], None] | None = None
        self._token: Token[Standing] | None = None


_current: ContextVar[Standing] = ContextVar(
    "hypervisor_observability.causality.standing",
    default=Standing(None, None),  # noqa: B039 - nobody enters or leaves this one
)


def standing() -> Standing:
    """Give where the running code stands."""
    here = _current.get()
    return _settled(here) if here.astray else here


def stand(trace: Lineage | None, place: Any) -> Standing:
    """Enter a block, until ``leave`` is given what this returns."""
    here = _current.get()
    inside = Standing(trace, place, _settled(here) if here.astray else here)
    inside._token = _current.set(inside)
    return inside


def leave(inside: Standing) -> None:
    """Leave a block, in whatever context and order. Doing so again does nothing. Never raises."""
    if inside._token is None:
        return
    outer = inside.outer
    if _current.get() is not inside:
        inside.astray = True
    elif not _left(inside):
        # A copy of the context that entered it, such as that of a task started within: both
        # are to be led out.
        inside.astray = True
        if outer is not None:
            _current.set(outer)
    elif outer is not None and not outer.astray:
        return
    standing()


def _settled(here: Standing) -> Standing:
    """Lead the running context out of blocks that are over, if it had entered them itself."""
    while here.astray and _left(here):
        here = _current.get()
    return here


def _left(inside: Standing) -> bool:
    """Leave *inside*, the current one, where this is the context that had entered it."""
    token = inside._token
    if token is None:
        return False
    try:
        _current.reset(token)
    except (ValueError, RuntimeError):  # of another context; used up by another thread
        return False
    inside._token = inside.outer = None
    inside.astray = False
    if inside.on_leave is not None:
        inside.on_leave()
    return True


Entry = tuple[int, CodeType, Standing, T]
"""An entry of a context manager by which somebody is still inside: the ``id`` of the frame that
entered; its code, since frames that are gone leave their ``id`` to others; the standing that
the entry made; and what the context manager keeps of it."""


def note_entry(entries: list[Entry[T]], caller: FrameType, inside: Standing, value: T) -> None:
    """Add to *entries*, of one context manager, that *caller* has entered it."""
    entries.append((id(caller), caller.f_code, inside, value))


def take_entry(entries: list[Entry[T]], caller: FrameType) -> T | None:
    """Give, once, what was noted of the entry that *caller* leaves; None: there is none.

    Tasks and threads may share a context manager, and it is not told at its exit which entry
    that belongs to. A ``with`` statement enters and leaves from one frame; of what has no such
    frame, as an ``ExitStack`` has none, the innermost entry of the running context is left.
    """
    # No lock: whoever leaves has an entry, which nobody else takes; others come behind it.
    while entries:
        own = entries[0] if len(entries) == 1 else _entry_of(caller, entries[::-1])
        try:
            entries.remove(own)
        except ValueError:  # the garbage collector closed a generator that was inside
            continue
        return own[3]
    return None


def _entry_of(caller: FrameType, newest_first: list[Entry[T]]) -> Entry[T]:
    for entry in newest_first:
        if entry[0] == id(caller) and entry[1] is caller.f_code:
            return entry
    # By a statement enters a frame that is still there; contextlib's are gone by now.
    loose = [entry for entry in newest_first if entry[1].co_filename == CONTEXTLIB]
    for entries in (loose, newest_first):
        here: Standing | None = standing()
        while here is not None:
            for entry in entries:
                if entry[2] is here:
                    return entry
            here = here.outer
    return (loose or newest_first)[0]


class activate(Generic[TraceT]):  # noqa: N801 - read as a verb: ``with activate(trace):``
    """Make a trace the current one for the length of a ``with`` block.

    Works in coroutines as well. Blocks nest, and may end in another order or context than they
    began in. One object may be entered again, and by several threads and tasks at once. None
    makes the block one without a trace.
    """

    __slots__ = ("_entries", "_trace")

    def __init__(self, trace: TraceT) -> None:
        self._trace = trace
        self._entries: list[Entry[Standing]] = []

    def __enter__(self) -> TraceT:
        inside = stand(self._trace, standing().place)
        note_entry(self._entries, sys._getframe(1), inside, inside)
        return self._trace

    def __exit__(self, *_: object) -> None:
        inside = take_entry(self._entries, sys._getframe(1))
        if inside is not None:
            leave(inside)
