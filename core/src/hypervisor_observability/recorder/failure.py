"""What a payload says about an exception, and which way out of a block is no failure."""

import inspect
from types import FrameType

from ..causality.standing import CONTEXTLIB
from ..text.error_text import line_of, message_of, name_of, type_of

# By name: importing asyncio for one of its classes would cost more than this whole package.
_INTERRUPTIONS = {
    "Cancelled": "cancelled",
    "CancelledError": "cancelled",
    "GeneratorExit": "closed early",
    "KeyboardInterrupt": "interrupted",
    "SystemExit": "exited",
}
_ANY_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


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
    name = name_of(error)
    message = message_of(error) or name
    interruption = None if isinstance(error, Exception) else _INTERRUPTIONS.get(name)
    reason = line_of(error) if interruption is None else interruption
    return {"error": message, "reason": reason, "error_type": type_of(error)}
