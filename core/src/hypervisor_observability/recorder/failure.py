"""What a payload says about an exception, and which way out of a block is no failure."""

import inspect
import sys
from types import FrameType

from ..causality.standing import CONTEXTLIB
from ..text.error_text import leaves_of, line_of, message_of, name_of, type_of

# By name: importing asyncio for one of its classes would cost more than this whole package.
_INTERRUPTIONS = {
    "Cancelled": "cancelled",
    "CancelledError": "cancelled",
    "GeneratorExit": "closed early",
    "KeyboardInterrupt": "interrupted",
    "SystemExit": "exited",
}
# Who has such an exception has imported its module.
_CANCELLATIONS = (
    ("asyncio", "CancelledError"),
    ("concurrent.futures", "CancelledError"),
    ("trio", "Cancelled"),
    ("greenlet", "GreenletExit"),
)
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


def was_cancelled(error: BaseException | None) -> bool:
    """Tell whether *error* says that nobody wanted the work any more, rather than that it failed.

    That is a cancellation of asyncio, trio, gevent or an executor, or the closing of a coroutine; a
    group of exceptions is one if nothing else is in it. Never raises.
    """
    if error is None:
        return False
    if isinstance(error, BaseExceptionGroup):
        found = list(leaves_of(error))
        return bool(found) and all(map(_is_cancellation, found))
    return _is_cancellation(error)


def how_it_ended(error: BaseException | None) -> dict[str, object]:
    """Give what the end of work says of *error*, with its ``status``: ok, error or cancelled.

    A cancellation is no failure: the status decides, whatever else is said.
    """
    if error is None:
        return {"status": "ok"}
    if not was_cancelled(error):
        return {"status": "error", **describe(error)}
    closed = issubclass(type(error), GeneratorExit)
    reason = "closed early" if closed else "cancelled"
    return {"status": "cancelled", **describe(error), "reason": reason}


def how_it_failed(error: BaseException | None) -> dict[str, object]:
    """Do as ``how_it_ended`` for an event whose type says the rest: a ``status`` if cancelled."""
    told = how_it_ended(error)
    if told["status"] != "cancelled":
        del told["status"]
    return told


def _is_cancellation(error: BaseException) -> bool:
    return issubclass(type(error), GeneratorExit) or any(
        isinstance(known := getattr(sys.modules.get(module), name, None), type)
        and issubclass(type(error), known)
        for module, name in _CANCELLATIONS
    )
