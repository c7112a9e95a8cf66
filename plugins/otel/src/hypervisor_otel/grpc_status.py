"""What a gRPC receiver's refusal means (OTLP specification, OTLP/gRPC Response)."""

import re

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_otel.answers import BrokenOff, TooLarge, printable, useful_wait

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# What receivers say of a request that is too large, and under which code: gRPC's own libraries as
# RESOURCE_EXHAUSTED (that of Java as well: "gRPC message exceeds maximum size"), tonic (Rust) as
# OUT_OF_RANGE, a proxy that answers 413 as UNKNOWN.
_LARGE = re.compile(
    r"(?:larger|greater|bigger|longer) than"
    r"|too (?:large|big|long)"
    r"|exceed\w* .*\b(?:size|length)\b"
    r"|\b(?:size|length)\b.* (?:exceed|limit)"
    r"|status(?: code)?:? 413\b",
    re.IGNORECASE,
)
_LARGE_CODES = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_DETAILS = "grpc-status-details-bin"  # gRPC, the richer error model
_HINTS = {
    grpc.StatusCode.UNAUTHENTICATED: "the credentials in 'headers' are missing or wrong",
    grpc.StatusCode.PERMISSION_DENIED: "the credentials in 'headers' do not allow this",
    grpc.StatusCode.UNIMPLEMENTED: "no OTLP receiver for this signal",
}


def refusal(error: grpc.RpcError, *, address: str) -> RetryLater | Reject:
    """Give the exception that *error* is for the core.

    ``RESOURCE_EXHAUSTED`` means later only where the receiver says how much later, and it, like
    some other codes, a request that is too large where the receiver says so.
    """
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    said = printable(error.details() or "") if isinstance(error, grpc.Call) else ""
    hint = _HINTS.get(code, "")
    msg = f"{address} answered {code.name}"
    if hint or said:
        msg += ": " + ": ".join(filter(None, (hint, said)))
    wait = retry_delay_seconds(error)
    if wait is None and code in _LARGE_CODES and _LARGE.search(said):
        return TooLarge(msg)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return BrokenOff(msg)
    if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None):
        return RetryLater(msg, after=None if wait is None else useful_wait(wait))
    return Reject(msg)


def retry_delay_seconds(error: grpc.RpcError) -> float | None:
    """Give the wait that the ``RetryInfo`` of *error* asks for, if it has one: any number."""
    trailers = (error.trailing_metadata() or ()) if isinstance(error, grpc.Call) else ()
    for name, value in trailers:
        if name != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    delay = info.retry_delay
                    return float(delay.seconds + delay.nanos / 1e9)
        except DecodeError:
            return None
    return None
