"""How the work of a span ended."""

import asyncio
import sys
from typing import Any

from hypervisor_observability.text.error_text import message_of, type_of
from hypervisor_openai_agents.seats import Seat

_REFUSALS = frozenset(
    {
        "ToolInputGuardrailTripwireTriggered",
        "ToolOutputGuardrailTripwireTriggered",
    }
)
_REJECTED = "was manually rejected"
"""What the SDK says of a call that a person has not approved, in the error of its span."""
_REDACTED = "redacted"
"""Is in what the SDK says in place of what it keeps out of its traces."""
_HIDDEN = "Error details are redacted."
"""Says the same in our events."""

_STOPS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What stops work from outside: its type says enough."""

Failure = tuple[str, str]
"""The type and the message of an exception, which is not kept: it would keep all its frames."""


def failure() -> Failure | None:
    """Describe the exception that is being handled here."""
    error = sys.exc_info()[1]
    return None if error is None else (type_of(error), message_of(error) or type_of(error))


def handled() -> int | None:
    """Tell what exception is being handled here, by its ``id``."""
    error = sys.exc_info()[1]
    return None if error is None else id(error)


def ended_by(seat: Seat) -> BaseException | None:
    """Give what ends the span whose end is told.

    The SDK sets no error for many exceptions, and none for a cancellation. They are being handled
    as it tells of the end. An exception that was handled as the span began is not its own: the
    user has started a run in an ``except`` block.
    """
    error = sys.exc_info()[1]
    if error is None or id(error) == seat.around or isinstance(error, StopAsyncIteration):
        return None
    if isinstance(error, GeneratorExit) and seat.kind == "model":
        return None  # who reads the stream has had enough
    return error


def ending_of(span_error: Any, seat: Seat) -> tuple[BaseException | str | None, dict[str, Any]]:
    """Give the error of the work, and what else its end says.

    Args:
        span_error: ``error`` of the span: a message and data, or None.
        seat: Of the span.
    """
    error, hides = ended_by(seat), seat.run.is_sensitive
    told: dict[str, Any] = {}
    if seat.kind == "tool" and (_is_refusal(error) or _REJECTED in _said(span_error)):
        told["status"] = "blocked"
    # What the tool itself raised, be it handed to the model, or wrapped and raised further.
    failed = seat.failure if seat.kind == "tool" and span_error else None
    if failed is not None and (error is None or isinstance(error, Exception)):
        told["error_type"], message = failed
        if not hides:
            told["reason"] = f"{told['error_type']}: {message}"
            return message, told
    elif error is not None:
        shown, more = shown_of(error, hides=hides)
        return shown, {**told, **more}
    elif not span_error:
        return None, told
    return _HIDDEN if hides else _said(span_error), told


def shown_of(error: BaseException, *, hides: bool) -> tuple[BaseException | str, dict[str, Any]]:
    """Give *error* as it is told, without its message where the run *hides* its content."""
    if not hides:
        return error, {}
    for kind in _STOPS:
        if isinstance(error, kind):
            return kind(), {}
    return _HIDDEN, {"error_type": type_of(error)}


def _said(span_error: Any) -> str:
    """Give what the SDK says of a failure: a message, and details where there are some."""
    if not span_error:
        return ""
    message, data = str(span_error.get("message") or "error"), span_error.get("data")
    details = data.get("error") or data.get("message") if isinstance(data, dict) else None
    if details and isinstance(details, str) and _REDACTED not in details:
        return f"{message}: {details}"
    return message


def _is_refusal(error: BaseException | None) -> bool:
    return type(error).__name__ in _REFUSALS
