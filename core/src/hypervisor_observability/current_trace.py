"""The causal trace that the running code works under.

A context variable holds it, so every asyncio task and every thread has its own. A task
starts with the trace of the code that created it; a new thread starts with none.
"""

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:  # causal_trace stands over this module
    from .causal_trace import CausalTraceId

TraceT = TypeVar("TraceT", bound="CausalTraceId | None")

_current: ContextVar["CausalTraceId | None"] = ContextVar(
    "hypervisor_observability.current_trace", default=None
)


def current_trace() -> "CausalTraceId | None":
    """Give the trace that is active here; None where none is."""
    return _current.get()


def set_trace(trace: "CausalTraceId | None") -> "Token[CausalTraceId | None]":
    """Make *trace* the current one until ``reset_trace`` is given what this returns."""
    return _current.set(trace)


def reset_trace(token: "Token[CausalTraceId | None]") -> None:
    """Go back to what was current before *token* was made. Never raises."""
    try:
        _current.reset(token)
    except ValueError:
        # The block ends in another context than it began in, as an asynchronous
        # generator does that the event loop finalises. That context keeps what it has.
        pass


class activate(Generic[TraceT]):  # noqa: N801 - read as a verb: ``with activate(trace):``
    """Make a trace the current one for the length of a ``with`` block.

    Works in coroutines as well. Blocks nest. One object may be entered again, but serves
    one thread or task. None makes the block one without a trace.
    """

    __slots__ = ("_tokens", "_trace")

    def __init__(self, trace: TraceT) -> None:
        self._trace = trace
        self._tokens: list[Token[CausalTraceId | None]] = []

    def __enter__(self) -> TraceT:
        self._tokens.append(set_trace(self._trace))
        return self._trace

    def __exit__(self, *_: object) -> None:
        reset_trace(self._tokens.pop())
