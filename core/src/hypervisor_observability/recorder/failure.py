"""What a payload says about an exception, and which way out of a block is no failure."""

import inspect
from collections.abc import Iterator
from itertools import islice
from types import FrameType

from ..standing import CONTEXTLIB

# By name: importing asyncio for one of its classes would cost more than this whole package.
_INTERRUPTIONS = {
    "Cancelled": "cancelled",
    "CancelledError": "cancelled",
    "GeneratorExit": "closed early",
    "KeyboardInterrupt": "interrupted",
    "SystemExit": "exited",
}
_ANY_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_MAX_INSIDE = 32
"""So many exceptions of a group are told."""

_MAX_SEARCHED = 1_000
"""So many groups and exceptions are looked through for them."""

_MAX_GROUP_REASON = 2_000
"""Characters of a group's line for people."""

_MAX_MESSAGE = 400
"""Characters of each message in a group, and twice that of the group's own."""


def unless_left(
    error: BaseException | None, caller: FrameType | None = None
) -> BaseException | None:
    """Give *error*, or None if it says that the reader of a generator has had enough.

    Args:
        error: What ended a block.
        caller: What left the block; None: a generator. A coroutine that is closed has not done
            its work.
    """
    if not isinstance(error, GeneratorExit):
        return error
    while caller is not None and _passes_on(caller):
        caller = caller.f_back
    return None if caller is None or caller.f_code.co_flags & _ANY_GENERATOR else error


def _passes_on(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_filename == CONTEXTLIB or code.co_name in ("__exit__", "__aexit__")


def describe(error: BaseException | None) -> dict[str, object]:
    """Give what a payload says about *error*: nothing if there is none. Never raises.

    Returns:
        ``error``, the message, or the type where there is none, with what is in a group of
        exceptions; ``reason``, one line for people, with the type, or how the work was
        interrupted; ``error_type``, with its module unless that is ``builtins``.
    """
    if error is None:
        return {}
    try:
        kind = type(error)
        name = kind.__name__
        message = _message(error) or name
        if isinstance(error, BaseExceptionGroup):
            message = _group_message(error, message)
            return {
                "error": message,
                "reason": _cut(_line(error, message), _MAX_GROUP_REASON),
                "error_type": _type(kind),
            }
        if isinstance(error, Exception) or name not in _INTERRUPTIONS:
            reason = _line(error, message)
        else:
            reason = _INTERRUPTIONS[name]
        return {"error": message, "reason": reason, "error_type": _type(kind)}
    except BaseException:  # noqa: BLE001 - a hostile class: the block's own exception must go on
        return {"error": "unknown", "reason": "unknown", "error_type": "unknown"}


def _type(kind: type[BaseException]) -> str:
    name, module = kind.__name__, kind.__module__
    return name if module == "builtins" else f"{module}.{kind.__qualname__}"


def _line(error: BaseException, message: str) -> str:
    name = type(error).__name__
    return name if message in ("", name) else f"{name}: {message}"


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # a plain string, whatever subclass of it was given
    except BaseException:  # noqa: BLE001 - a hostile __str__ has no message
        return ""


def _group_message(group: BaseExceptionGroup[BaseException], own: str) -> str:
    """Give the message of a group with those of the exceptions inside."""
    lines: dict[str, int] = {}
    found = list(islice(_leaves(group), _MAX_INSIDE + 1))
    for error in found[:_MAX_INSIDE]:
        line = _line(error, _cut(_message(error), _MAX_MESSAGE))
        lines[line] = lines.get(line, 0) + 1
    told = [line if times == 1 else f"{line} ({times} times)" for line, times in lines.items()]
    if len(found) > _MAX_INSIDE:
        told.append("and more")
    return f"{_cut(own, 2 * _MAX_MESSAGE)}: {'; '.join(told)}"


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    # Not by recursion: groups can be nested deeper than that.
    members = BaseExceptionGroup.exceptions.__get__  # a slot, which no subclass hides
    waiting: list[BaseException] = [group]
    for _ in range(_MAX_SEARCHED):
        if not waiting:
            return
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(members(error)))
        else:
            yield error


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
