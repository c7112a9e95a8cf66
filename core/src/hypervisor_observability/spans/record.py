"""A finished span, in the terms of OpenTelemetry's trace data model."""

from collections.abc import Mapping
from enum import Enum

from attrs import field, frozen

AttributeValue = str | bool | int | float


class SpanKind(Enum):
    """The role of a span, as in the OpenTelemetry specification (Trace API, SpanKind)."""

    INTERNAL = "internal"
    CLIENT = "client"


class SpanStatus(Enum):
    """How the work ended, as in the OpenTelemetry specification (Trace API, Set Status)."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


@frozen
class SpanEvent:
    """Something that happened at one moment of a span.

    Attributes:
        name: What happened.
        time_ns: When, in nanoseconds since the epoch.
        attributes: Details.
    """

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue] = field(factory=dict)


@frozen
class SpanLink:
    """A reference to another span that is not the parent.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits.
        span_id: 16 lower-case hexadecimal digits.
        attributes: Why; ``link.type`` names the reason.
    """

    trace_id: str
    span_id: str
    attributes: Mapping[str, AttributeValue] = field(factory=dict)


@frozen(kw_only=True)
class FinishedSpan:
    """A piece of work with a start and an end.

    Every field is a function of recorded events, so assembling the same events again gives
    the same span.

    Attributes:
        name: Of low cardinality, such as ``saga.step.validate``.
        trace_id: 32 lower-case hexadecimal digits (W3C).
        span_id: 16 lower-case hexadecimal digits (W3C).
        parent_span_id: Like ``span_id``; None for a root.
        start_ns: Nanoseconds since the epoch, from the event that opened it.
        end_ns: Nanoseconds since the epoch, never before ``start_ns``.
        kind: Its role.
        status: How it ended.
        status_message: Why it failed; empty unless ``status`` is ERROR.
        attributes: Details, under the names of the documentation's page on sagas.
        events: What happened within it, in order of time.
        links: Other spans that it refers to.
        agent_did: The agent that did the work.
        session_id: The session in which it was done.
        scope: What kind of work it is: ``session``, ``agent``, ``elevation``, ``quarantine``,
            ``saga``, ``step``, ``compensation``, ``fanout`` or ``decision``.
        closed_by: ``event_id`` of the event that ended it.
        pending: Whether the work goes on: the span will come again, under the same ids, when
            it has ended.
    """

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    kind: SpanKind = SpanKind.INTERNAL
    status: SpanStatus = SpanStatus.UNSET
    status_message: str = ""
    attributes: Mapping[str, AttributeValue] = field(factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    agent_did: str | None = None
    session_id: str | None = None
    scope: str = "saga"
    closed_by: str = ""
    pending: bool = False

    @property
    def duration_seconds(self) -> float:
        """How long the work took; never negative."""
        return (self.end_ns - self.start_ns) / 1e9
