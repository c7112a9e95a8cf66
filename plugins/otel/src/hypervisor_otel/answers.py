"""What an OTLP receiver's answer means (OTLP specification, OTLP/HTTP Response). Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from attrs import frozen
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_otel.connection import Answer

MAX_WAIT_SECONDS = 300.0
"""Longest wait that a backend can ask for."""

PROTOBUF = "application/x-protobuf"

_RETRYABLE = frozenset({429, 502, 503, 504})
_TOO_LARGE = 413
_MAX_MESSAGE_CHARACTERS = 200
_HINTS = {
    401: "the credentials in 'headers' are missing or wrong",
    403: "the credentials in 'headers' do not allow this",
    404: "no OTLP receiver under this path",
    405: "no OTLP receiver under this path",
    413: "the batch is too large for it",
    415: "it takes no OTLP over http/protobuf",
}


class TooLarge(Reject):
    """The receiver takes no request of that size; it may take each part of it."""


class BrokenOff(RetryLater):
    """The exchange ended without an answer: whatever the reason, a smaller request may pass."""


@frozen
class Accepted:
    """The receiver took the request, perhaps not all of it.

    Attributes:
        rejected: How many spans, data points or log records it refused.
        message: What it said about that; may be a warning although none was refused.
        is_understood: Whether the body was the answer of an OTLP receiver.
    """

    rejected: int = 0
    message: str = ""
    is_understood: bool = True


def judge(answer: Answer, *, address: str, now_seconds: float) -> Accepted:
    """Say what *answer* means for the request.

    Args:
        answer: What came back.
        address: Of the endpoint, fit for messages.
        now_seconds: The present time, in seconds since the epoch.

    Raises:
        RetryLater: 429, 502, 503 or 504.
        TooLarge: 413.
        Reject: Any other status but 2xx. Redirects are not followed.
    """
    if 200 <= answer.status < 300:
        return _accepted(answer)
    said = _error_message(answer)
    if answer.status in _RETRYABLE:
        after = retry_after_seconds(answer.retry_after, now_seconds=now_seconds)
        raise RetryLater(_sentence(address, answer.status, said), after=after)
    if 300 <= answer.status < 400:
        said = "redirects are not followed; set 'endpoint' to where it leads"
    hint = _HINTS.get(answer.status, "")
    sentence = _sentence(address, answer.status, ": ".join(filter(None, (hint, said))))
    raise TooLarge(sentence) if answer.status == _TOO_LARGE else Reject(sentence)


def _sentence(address: str, status: int, said: str) -> str:
    return f"{address} answered {status}" + (f": {said}" if said else "")


def _accepted(answer: Answer) -> Accepted:
    if not answer.body:
        return Accepted()
    if answer.content_type != PROTOBUF or not answer.is_whole:
        return Accepted(is_understood=False)
    return understand(answer.body)


def understand(body: bytes) -> Accepted:
    """Say what the body of a receiver's answer tells.

    The answers for metrics and logs have the same fields under other names, so they read alike.
    """
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Accepted(is_understood=False)
    return Accepted(max(0, partial.rejected_spans), printable(partial.error_message))


def _error_message(answer: Answer) -> str:
    """What a failure's body says: a google.rpc.Status in protobuf, or text."""
    if answer.content_type == PROTOBUF:
        try:
            # Field 2 is the message, a string, in a Status and in this message alike.
            return printable(ExportTracePartialSuccess.FromString(answer.body).error_message)
        except DecodeError:
            return ""
    if answer.content_type in {"text/plain", "application/json"}:
        return printable(answer.body.decode("utf-8", "replace"))
    return ""


def printable(text: str) -> str:
    """Make what a server said fit for a log: one line, printable, not long."""
    text = text[: 4 * _MAX_MESSAGE_CHARACTERS]
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= _MAX_MESSAGE_CHARACTERS:
        return line
    return line[: _MAX_MESSAGE_CHARACTERS - 3] + "..."


def retry_after_seconds(header: str | None, *, now_seconds: float) -> float | None:
    """Give the wait that *header* asks for, at most 300 s; None where it asks for none.

    The header holds seconds or a date (RFC 9110, section 10.2.3). Of a date that has passed,
    and of no seconds, ``useful_wait`` says what they mean.
    """
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        # Nine digits are 31 years; longer ones Python may refuse to convert.
        return useful_wait(float(header[:9]))
    try:
        date = parsedate_to_datetime(header)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        wait = date.timestamp() - now_seconds
    except (ValueError, TypeError, OverflowError):
        return None
    return useful_wait(wait)


def useful_wait(seconds: float) -> float | None:
    """Give *seconds* as a wait that a backend may ask for, or None where they are none.

    A backend that is overloaded and says "at once", or whose clock is behind, leaves the pause
    to the core.
    """
    return min(seconds, MAX_WAIT_SECONDS) if seconds > 0 else None
