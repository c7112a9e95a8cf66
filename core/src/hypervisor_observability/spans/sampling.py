"""Which traces are kept: by their ids alone, or whole because something went wrong in them."""

from attrs import field, frozen
from attrs.validators import ge, gt, le

from ..events.event import HypervisorEvent
from ..facts.trouble import INCIDENTS
from .record import FinishedSpan, SpanStatus

_IDS = 1 << 64


@frozen(kw_only=True)
class Sampling:
    """Which traces are handed to a plugin.

    Attributes:
        ratio: Which part of the traces is, from 0 to 1.
        keep_incidents: Whether those with an incident are beside.
        wait_seconds: For how long the spans of a trace outside of that part are held, after
            the last of them and while nothing of the trace is open.
        max_held_spans: Most spans that are held; beyond them the trace that has been quiet for
            longest is left out before its time.
    """

    ratio: float = field(default=1.0, validator=[ge(0.0), le(1.0)])
    keep_incidents: bool = False
    wait_seconds: float = field(default=30.0, validator=gt(0))
    max_held_spans: int = field(default=20_000, validator=ge(1))


def is_sampled(trace_id: str, ratio: float) -> bool:
    """Whether the trace is among the part of *ratio*.

    As OpenTelemetry's SDK decides (TraceIdRatioBased), so that its services and ours keep the
    same traces of those that they share.

    Args:
        trace_id: 32 hexadecimal digits.
        ratio: From 0 to 1.
    """
    return int(trace_id[16:], 16) < round(ratio * _IDS)


def is_incident(event: HypervisorEvent) -> bool:
    """Whether the traces of *event* are worth to be kept for its sake."""
    return event.event_type in INCIDENTS


def tells_of_incident(span: FinishedSpan) -> bool:
    """Whether the trace of *span* is worth to be kept for its sake: work that failed or was
    refused, and quarantines.
    """
    return span.status is SpanStatus.ERROR or span.scope == "quarantine"
