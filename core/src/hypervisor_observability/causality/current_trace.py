"""The causal trace that the running code works under.

A context variable holds it, so every asyncio task and every thread has its own. A task
starts with the trace of the code that created it; a new thread starts with none.
"""

import sys
from typing import TYPE_CHECKING, Generic, TypeVar

from .standing import Entry, Standing, leave, note_entry, stand, standing, take_entry

if TYPE_CHECKING:  # causal_trace stands over this module
    from .causal_trace import CausalTraceId

TraceT = TypeVar("TraceT", bound="CausalTraceId | None")


def current_trace() -> "CausalTraceId | None":
    """Give the trace that is active here; None where none is."""
    return standing().trace


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
