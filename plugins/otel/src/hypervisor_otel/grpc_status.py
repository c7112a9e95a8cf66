"""What a gRPC receiver's refusal means (OTLP specification, OTLP/gRPC Response)."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_otel.answers import MAX_WAIT_SECONDS, printable

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
_DETAILS = "grpc-status-details-bin"  # gRPC, the richer error model
_HINTS = {
    grpc.StatusCode.UNAUTHENTICATED: "the credentials in 'headers' are missing or wrong",
    grpc.StatusCode.PERMISSION_DENIED: "the credentials in 'headers' do not allow this",
    grpc.StatusCode.UNIMPLEMENTED: "no OTLP receiver for this signal",
}


def refusal(error: grpc.RpcError, *, address: str) -> RetryLater | Reject:
    """Give the exception that *error* is for the core.

    ``RESOURCE_EXHAUSTED`` means later only where the receiver says how much later.
    """
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    said = printable(error.details() or "") if isinstance(error, grpc.Call) else ""
    hint = _HINTS.get(code, "")
    msg = f"{address} answered {code.name}"
    if hint or said:
        msg += ": " + ": ".join(filter(None, (hint, said)))
    wait = retry_delay_seconds(error)
    if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None):
        return RetryLater(msg, after=wait)
    return Reject(msg)


def retry_delay_seconds(error: grpc.RpcError) -> float | None:
    """Give the wait that the ``RetryInfo`` of *error* asks for, from 0 to 300 s, if it does."""
    trailers = (error.trailing_metadata() or ()) if isinstance(error, grpc.Call) else ()
    for name, value in trailers:
        if name != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    delay = info.retry_delay
                    seconds = delay.seconds + delay.nanos / 1e9
                    return float(min(max(0.0, seconds), MAX_WAIT_SECONDS))
        except DecodeError:
            return None
    return None
