"""What a hook may be and give: a plain function that gives nothing, or a coroutine function.

A generator's body would never run, and what a plain function has only begun would count as
delivered. Both are refused in words that say what to write instead.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..delivery.outlet import HookShapeError

_AT_ONCE = frozenset({"instrument", "uninstrument"})
"""Hooks that have done their work when they return: the thread that imports a framework waits."""


def refuse_odd_hook(hook: str, function: Callable[..., Any]) -> None:
    """Refuse a generator or an asynchronous one, and a coroutine function where nobody waits.

    Raises:
        HookShapeError: It is one.
    """
    if inspect.isgeneratorfunction(function):
        raise HookShapeError(_advice(hook, "is a generator function: its body would never run"))
    if inspect.isasyncgenfunction(function):
        msg = "is an asynchronous generator function: its body would never run"
        raise HookShapeError(_advice(hook, msg))
    if hook in _AT_ONCE and inspect.iscoroutinefunction(function):
        raise HookShapeError(
            f"{hook} is a coroutine function, and the import of the framework waits for no event"
            f" loop: write 'def {hook}'"
        )


def refuse_odd_result(hook: str, result: object) -> None:
    """Refuse what a plain function has given, if there is something to be done with it still.

    Raises:
        HookShapeError: It is a coroutine, another awaitable, a generator, or a future.
    """
    kind = _kind_of(result)
    if kind is None:
        return
    if inspect.iscoroutine(result):
        result.close()  # else Python warns that nobody has awaited it
    elif isinstance(result, Future):
        result.cancel()
    raise HookShapeError(_advice(hook, f"returned {kind}, which nobody would wait for"))


def _kind_of(result: object) -> str | None:
    if inspect.iscoroutine(result):
        return "a coroutine"
    if inspect.isgenerator(result):
        return "a generator"
    if inspect.isasyncgen(result):
        return "an asynchronous generator"
    if inspect.isawaitable(result):
        return f"an awaitable ({type(result).__name__})"
    if isinstance(result, Future):
        return "a future"
    return None


def _advice(hook: str, what: str) -> str:
    return (
        f"{hook} {what}: write 'def {hook}' without 'yield', which returns when the work is done,"
        f" or 'async def {hook}', which awaits it"
    )
