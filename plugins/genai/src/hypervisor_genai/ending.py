"""How a span ended."""

import sys
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

# In spans an exception is its name.
_CANCELLATIONS = ("CancelledError", "trio.Cancelled", "GreenletExit")


def flying() -> BaseException | None:
    """Give the exception that the running code handles, or that passes through it."""
    return sys.exc_info()[1]


def flying_id() -> int:
    """Tell the exception apart that already flies when a span begins: 0 if there is none."""
    error = flying()
    return 0 if error is None else id(error)


def how_it_ended(
    span: ReadableSpan, error: BaseException | None
) -> tuple[BaseException | str | None, dict[str, Any]]:
    """Give what ended a span's work, an exception or its text, and what a payload says beside it.

    The SDK leaves a span as it is where its code is cancelled, since ``CancelledError`` is no
    ``Exception``. So does a framework where an exception is no failure, such as
    ``StopAsyncIteration``. A reader who leaves a generator has had what he wanted.

    Args:
        span: That has ended.
        error: The exception that passes through the code that ends it.
    """
    if error is not None and not isinstance(error, Exception | GeneratorExit):
        return error, {}
    if span.status.status_code is not StatusCode.ERROR:
        return None, {}
    error_type, message = _told_of_exception(span)
    if error_type.endswith(_CANCELLATIONS):
        cancelled = {"status": "cancelled", "reason": "cancelled", "error_type": error_type}
        return message or error_type, cancelled
    if isinstance(error, Exception) and error_type.rpartition(".")[2] == type(error).__name__:
        return error, {}
    said = span.status.description or ""
    reason = f"{error_type}: {message}" if error_type and message else said or error_type
    told: dict[str, Any] = {"reason": reason or None, "error_type": error_type or None}
    return message or said or error_type or "failed", told


def _told_of_exception(span: ReadableSpan) -> tuple[str, str]:
    """Give type and message of the exception that a span has recorded last."""
    for event in reversed(span.events):
        if event.name == "exception":
            about = event.attributes or {}
            return (
                str(about.get("exception.type", "")),
                str(about.get("exception.message", "")),
            )
    return str((span.attributes or {}).get("error.type", "")), ""
