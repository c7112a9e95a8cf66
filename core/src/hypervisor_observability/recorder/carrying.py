"""Carry the surroundings of the running code to where it does not go by itself.

A new thread, a pool's thread, a greenlet and another process start without a trace, a
session or an agent. What is carried there starts where the code stood that carried it.
"""

import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Generic, ParamSpec, TypeVar, final

from ..causality.causal_trace import CausalTraceId
from ..causality.current_trace import current_trace
from ..causality.standing import leave, stand
from .driving import Driven, driven, driving_async
from .place import Place, current_place

P = ParamSpec("P")
R = TypeVar("R")


@final
class Carried(Generic[P, R]):
    """A function that runs where ``carry`` was called; ``carry`` makes it.

    May be called several times and from several threads at once. In this process it runs in
    a copy of the whole context, and what it gives does too where that is a coroutine or a
    generator of either kind. It can be pickled if its function can: to another process go
    the trace, the session and the agent, but no saga, whose steps are recorded in one.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        self._trace = current_trace()
        self._place = current_place()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function there."""
        # One context cannot be entered twice at once, and calls may overlap.
        copy = self._context.copy()
        value: R = _staying(copy.run(self._function, *args, **kwargs), copy)
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        place = self._place
        known = (place.session_id, place.agent_did, place.opened_by)
        return _arrive, (self._function, self._trace, known)


def carry(function: Callable[P, R]) -> Carried[P, R]:
    """Return *function*, made to run in the scopes of this call, wherever it is called.

    For ``threading.Thread(target=carry(work))``, ``gevent.spawn(carry(work))``,
    ``multiprocessing.Process(target=carry(work))`` and every other way to start something.
    """
    return Carried(function)


class CarryingExecutor(Executor):
    """An executor whose calls run in the scopes of the code that submitted them.

    Args:
        executor: Does the work, in threads or processes; ``shutdown`` shuts it down.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have *function* called as the executor does, in the surroundings of this call."""
        return self._executor.submit(carry(function), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor has it
        """Shut the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _staying(value: Any, context: contextvars.Context) -> Any:
    """Give *value*, which a call in *context* gave; what of it is still to be done stays there."""
    if isinstance(value, AsyncGeneratorType):
        return driving_async(lambda: (value, None, None), context)()
    if inspect.iscoroutine(value):
        return _result(value, context)
    if isinstance(value, GeneratorType):
        return driven(value, context)
    return value


async def _result(coroutine: Any, context: contextvars.Context) -> Any:
    return await Driven(coroutine, context)


def _arrive(
    function: Callable[..., Any],
    trace: CausalTraceId | None,
    known: tuple[str | None, str | None, str | None],
) -> Carried[..., Any]:
    """Make what was carried in the process that it came to."""
    inside = stand(trace, Place(*known))
    try:
        return Carried(function)
    finally:
        leave(inside)
