"""What a call can give that is still to be done: coroutines, futures, generators.

A scope around the call alone would be over before the work began.
"""

import contextvars
import inspect
import weakref
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar

from ..causality.standing import leave
from .awaitable_proxy import AwaitableProxy, proxy_of
from .driving import Driven, OnValue, driving, driving_async
from .opened import Opened

EndT = TypeVar("EndT")


def is_unended(value: object) -> bool:
    """Tell whether *value* is work that is still to be done, or being done."""
    return (
        inspect.isawaitable(value)
        or isinstance(value, (GeneratorType, AsyncGeneratorType))
        or is_future(value)
    )


def _is_flagged(value: object) -> bool:
    """Tell whether *value* is a generator that can be awaited (types.coroutine)."""
    return isinstance(value, GeneratorType) and inspect.isawaitable(value)


def is_future(value: object) -> bool:
    """Tell whether *value* calls back when it is done, as futures and tasks do."""
    # By the type: a mock has whatever attribute it is asked for.
    return callable(getattr(type(value), "add_done_callback", None))


def until_ended(opened: Opened[Any], value: Any) -> Any:
    """Give *value*, which a call within *opened* gave, with the scope ending when that has ended.

    A future stays itself. A coroutine and generators are what they were, in a context of their
    own, for which that of the running code is taken; another awaitable is a proxy.
    """
    context = contextvars.copy_context()
    leave(opened.inside)
    if is_future(value):
        value.add_done_callback(partial(_done, opened))
        return value
    begun: list[bool] = []
    recorded: Any
    if isinstance(value, AsyncGeneratorType):
        recorded = driving_async(
            lambda: _begin(begun, opened, value, opened.end_read_async), context
        )()
    elif isinstance(value, CoroutineType) or _is_flagged(value):
        recorded = _result(opened, value, context, begun)
    elif isinstance(value, GeneratorType):
        recorded = driving(lambda: _begin(begun, opened, value, opened.end_read), context)()
    else:
        recorded = proxy_of(value, lambda proxy: _result(opened, value, context, begun, proxy))
    for name in ("__name__", "__qualname__"):
        if not isinstance(recorded, AwaitableProxy):
            setattr(recorded, name, getattr(value, name))
    dropped = weakref.finalize(recorded, _dropped, opened, value, begun)
    dropped.atexit = False
    return recorded


def _begin(
    begun: list[bool], opened: Opened[Any], values: Any, end: EndT
) -> tuple[Any, EndT, OnValue | None]:
    begun.append(True)
    return values, end, opened.on_value


async def _result(
    opened: Opened[Any],
    awaitable: Any,
    context: contextvars.Context,
    begun: list[bool],
    _proxy: object = None,  # whoever awaits it drops it, and that is not the end
) -> Any:
    begun.append(True)
    try:
        value = await Driven(awaitable, context)
    except BaseException as error:
        await Driven(opened.end_async(error), context)
        raise
    await Driven(opened.end_async(None), context)
    return value


def _done(opened: Opened[Any], future: Any) -> None:
    error: BaseException | None = None
    try:
        # asking a future of asyncio for its exception would say that somebody took care of it
        if future.cancelled() or not hasattr(future, "_exception"):
            error = future.exception()
        else:
            error = future._exception
    except BaseException as cancelled:  # noqa: BLE001 - of several modules; it is recorded
        error = cancelled
    opened.end(error)


def _dropped(opened: Opened[Any], value: Any, begun: list[bool]) -> None:
    """Record the end of what nobody began to await or to read."""
    if begun:
        return
    unawaited = isinstance(value, CoroutineType)
    if unawaited:
        value.close()  # or it warns too that nobody awaited it
    opened.end(GeneratorExit() if unawaited else None)
