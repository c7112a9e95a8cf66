"""Run generators and awaitables in a context of their own, wherever they are asked.

A generator shares the context of whoever asks it (PEP 568 tells why), and a coroutine that of
whoever awaits it. What is driven stays in its own between two of its steps.
"""

import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

End = Callable[[BaseException | None], None]
EndAsync = Callable[[BaseException | None], Awaitable[None]]
OnValue = Callable[[], None]


class Driven:
    """Something to await, which runs in a context of its own wherever it is awaited."""

    def __init__(self, awaitable: Any, context: contextvars.Context) -> None:
        self._awaitable = awaitable
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        # An asynchronous generator's steps are awaitable, but only __await__ makes them
        # iterators that take send and throw on all versions. A generator may be awaitable by
        # a flag alone (types.coroutine), and has none.
        await_ = getattr(self._awaitable, "__await__", None)
        if await_ is None:
            return driven(self._awaitable, self._context)
        return driven(self._context.run(await_), self._context)


def driven(
    generator: Any, context: contextvars.Context, on_value: OnValue | None = None
) -> Generator[Any, Any, Any]:
    """Do as ``yield from generator``, with *generator* in *context* (PEP 380).

    *on_value* is called there when it gives its first value.
    """
    run = context.run
    try:
        value = run(next, generator)
        if on_value is not None:
            run(on_value)
        while True:
            try:
                sent = yield value
            except GeneratorExit:
                close = getattr(generator, "close", None)
                if close is not None:
                    run(close)
                raise
            except BaseException as error:
                throw = getattr(generator, "throw", None)
                if throw is None:
                    raise
                value = run(throw, error)
            else:
                value = run(next, generator) if sent is None else run(generator.send, sent)
    except StopIteration as stop:
        return stop.value


def driving(
    begin: Callable[..., tuple[Any, End, OnValue | None]],
    context: contextvars.Context | None = None,
) -> Callable[..., Generator[Any, Any, Any]]:
    """Make a generator function whose generators run in a context of their own.

    Args:
        begin: Called there with the call's arguments; gives what generates the values, what is
            called there when that has ended, with the exception that ended it, and what is called
            there at its first value.
        context: That context; by default a copy of the one in which the first value is asked.
    """

    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        own = contextvars.copy_context() if context is None else context
        values, end, on_value = own.run(begin, *args, **kwargs)
        try:
            value = yield from driven(values, own, on_value)
        except BaseException as error:
            own.run(end, error)
            raise
        own.run(end, None)
        return value

    return generate


def driving_async(
    begin: Callable[..., tuple[Any, EndAsync | None, OnValue | None]],
    context: contextvars.Context | None = None,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Do as ``driving`` for asynchronous generators, whose end is awaited."""

    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        own = contextvars.copy_context() if context is None else context
        values, end, on_value = own.run(begin, *args, **kwargs)
        failure: BaseException | None = None
        try:
            step = values.__anext__()
            while True:
                try:
                    value = await Driven(step, own)
                except StopAsyncIteration:
                    return
                if on_value is not None:
                    own.run(on_value)
                    on_value = None
                try:
                    sent = yield value
                except GeneratorExit:  # the reader has had enough
                    await Driven(values.aclose(), own)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in: it is the generator's to answer
                    step = values.athrow(error)
                else:
                    step = values.asend(sent)
        except BaseException as error:
            failure = error
            raise
        finally:
            if end is not None:
                await Driven(end(failure), own)

    return generate
