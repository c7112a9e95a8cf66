"""Functions that are recorded at every call: the recorder's scopes as decorators.

What a call gives may be work that is still to be done: see ``unended``.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from .driving import OnValue, driving, driving_async
from .opened import Opened
from .unended import is_unended, until_ended

Open = Callable[[], Opened[Any]]
EndT = TypeVar("EndT")
FunctionT = TypeVar("FunctionT", bound="Callable[..., Any] | classmethod[Any, ..., Any]")


def decorate(open_: Open, function: FunctionT) -> FunctionT:
    """Give *function* with each call of it in a scope of its own, which *open_* enters.

    It stays what it was: a function, a coroutine function or a generator of either kind, be
    that by a partial, by an object's ``__call__``, or as a static or class method.

    Raises:
        TypeError: *function* cannot be called.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(open_, function.__func__))
    if not callable(function):
        raise TypeError(f"expected a function to record, got {type(function).__name__}")
    wrapper: Callable[..., Any]
    if _is(inspect.isasyncgenfunction, function):
        wrapper = driving_async(_beginning(open_, function, lambda opened: opened.end_read_async))
    elif _is(inspect.iscoroutinefunction, function) or _is(_is_flagged, function):
        wrapper = _coroutine(open_, function)
    elif _is(inspect.isgeneratorfunction, function):
        wrapper = driving(_beginning(open_, function, lambda opened: opened.end_read))
    else:
        wrapper = _plain(open_, function)
    return functools.update_wrapper(wrapper, function)  # type: ignore[return-value]  # of the same signature


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    if kind(function):
        return True
    return not isinstance(function, type) and kind(getattr(type(function), "__call__", None))  # noqa: B004 - what is called, not whether


def _is_flagged(function: Any) -> bool:
    """Tell whether *function* is a coroutine function by types.coroutine."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def _plain(open_: Open, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        opened = open_()
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            opened.end(error)
            raise
        if is_unended(value):
            return until_ended(opened, value)
        opened.end(None)
        return value

    return wrapper


def _coroutine(open_: Open, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        opened = open_()
        try:
            value = await function(*args, **kwargs)
        except BaseException as error:
            await opened.end_async(error)
            raise
        await opened.end_async(None)
        return value

    return wrapper


def _beginning(
    open_: Open, function: Callable[..., Any], end: Callable[[Opened[Any]], EndT]
) -> Callable[..., tuple[Any, EndT, OnValue | None]]:
    """Give what begins a generator in a scope; *end* gives what ends that."""

    def begin(*args: Any, **kwargs: Any) -> tuple[Any, EndT, OnValue | None]:
        opened = open_()
        try:
            values = function(*args, **kwargs)
        except BaseException as error:
            opened.end(error)
            raise
        return values, end(opened), opened.on_value

    return begin
