"""Functions that are recorded at every call: the recorder's scopes as decorators.

Generators are driven in a context of their own. Otherwise the code that takes their values
would stand in their scope between two of them, since a generator shares the context of
whoever asks it (PEP 568 tells why).
"""

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # scope stands over this module
    from .scope import Scope

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def decorate(enter: "Callable[[], Scope[Any]]", function: FunctionT) -> FunctionT:
    """Give *function* with each call of it in a scope that *enter* makes.

    It stays what it was: a function, a coroutine function or a generator of either kind.
    """
    wrapper: Callable[..., Any]
    if inspect.isasyncgenfunction(function):
        wrapper = _async_generator(enter, function)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(enter, function)
    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with enter():
                return await function(*args, **kwargs)
    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with enter():
                return function(*args, **kwargs)

    return functools.update_wrapper(wrapper, function)  # type: ignore[return-value]  # of the same signature


def _generator(
    enter: "Callable[[], Scope[Any]]", function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with enter():
            return (yield from function(*args, **kwargs))

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _driven(inside(*args, **kwargs)))

    return wrapper


def _async_generator(
    enter: "Callable[[], Scope[Any]]", function: Callable[..., AsyncIterator[Any]]
) -> Callable[..., AsyncIterator[Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        context = contextvars.copy_context()
        scope: Scope[Any] = enter()
        await _Driven(scope.__aenter__(), context)
        values: Any = None
        try:
            values = function(*args, **kwargs)
            step = values.__anext__()
            while True:
                try:
                    value = await _Driven(step, context)
                except StopAsyncIteration:
                    break
                try:
                    sent = yield value
                except GeneratorExit:  # the reader has had enough
                    await _Driven(values.aclose(), context)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in: it is the generator's to answer
                    step = values.athrow(error)
                else:
                    step = values.asend(sent)
        except BaseException as error:
            await _Driven(scope.__aexit__(type(error), error, error.__traceback__), context)
            raise
        await _Driven(scope.__aexit__(None, None, None), context)

    return wrapper


class _Driven:
    """Something to await, which runs in a context of its own wherever it is awaited."""

    def __init__(self, awaitable: Any, context: contextvars.Context) -> None:
        self._awaitable = awaitable
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        # An asynchronous generator's steps are awaitable, but only __await__ makes them
        # iterators that take send and throw on all versions.
        return _driven(self._awaitable.__await__(), self._context)


def _driven(
    generator: Generator[Any, Any, Any] | Coroutine[Any, Any, Any],
    context: contextvars.Context | None = None,
) -> Generator[Any, Any, Any]:
    """Do as ``yield from generator``, with *generator* in a context of its own (PEP 380)."""
    run = (contextvars.copy_context() if context is None else context).run
    try:
        value = run(generator.send, None)
        while True:
            try:
                sent = yield value
            except GeneratorExit:
                run(generator.close)
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in: it is the generator's to answer
                value = run(generator.throw, error)
            else:
                value = run(generator.send, sent)
    except StopIteration as stop:
        return stop.value
