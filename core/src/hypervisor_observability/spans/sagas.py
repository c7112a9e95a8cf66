"""Saga spans for code that wants them in the process, as they end."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen

from ..bus.event_bus import HypervisorEventBus
from ..events.dataclass_view import DataclassFields
from ..events.event import HypervisorEvent
from ..facts.saga_facts import SAGA_TYPES
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from .assembly import SpanAssembler
from .open_span import ERASED
from .record import FinishedSpan, SpanStatus

MAX_COMPLETED_SPANS = 10_000


@runtime_checkable
class SpanSink(Protocol):
    """Whatever takes finished spans one by one: a bridge to a tracing library."""

    def record_span(
        self,
        name: str,
        start_time: float,
        end_time: float,
        attributes: dict[str, Any],
        status: str,
    ) -> None:
        """Take a span; times are seconds since the epoch."""


@frozen
class SagaSpanRecord:
    """A finished span of a saga.

    Attributes:
        name: ``saga.step.<action>``, ``saga.compensate.<action>``, ``saga.completed.<id>``
            or ``saga.escalated.<id>``.
        saga_id: The saga.
        step_id: The step; empty for the saga itself.
        step_action: What the step does; ``complete`` or ``escalate`` for the saga itself.
        start_time: Seconds since the epoch.
        end_time: Seconds since the epoch, never before the start.
        status: ``ok``, ``error`` or ``compensating``.
        attributes: The span's attributes, ``agent.*`` and ``session.id``.
    """

    name: str
    saga_id: str
    step_id: str
    step_action: str
    start_time: float
    end_time: float
    status: str
    attributes: Mapping[str, Any] = field(factory=dict)

    __dataclass_fields__ = DataclassFields()

    @property
    def duration_seconds(self) -> float:
        """How long it took; never negative."""
        return self.end_time - self.start_time


class SagaSpanExporter:
    """Assemble the spans of a bus's sagas by a synchronous subscriber.

    Args:
        bus: Its saga events are read from now on.
        sink: Gets each span when it ends, beside ``completed_spans``. One that raises is
            logged; the span stays recorded.
    """

    def __init__(self, bus: HypervisorEventBus, sink: SpanSink | None = None) -> None:
        self._assembler = SpanAssembler()
        self._sink = sink
        self._spans: deque[SagaSpanRecord] = deque(maxlen=MAX_COMPLETED_SPANS)
        self._events_processed = 0
        self._lock = threading.RLock()
        self._log = LimitedLog(__name__)
        for event_type in SAGA_TYPES:
            bus.subscribe(event_type, self._handle)

    def attach_sink(self, sink: SpanSink) -> None:
        """Hand spans to *sink* too, instead of the sink before it."""
        self._sink = sink

    def detach_sink(self) -> None:
        """Hand spans to no sink any more."""
        self._sink = None

    @property
    def completed_spans(self) -> list[SagaSpanRecord]:
        """The newest 10,000 spans that ended, oldest first, as a new list."""
        with self._lock:
            return list(self._spans)

    @property
    def events_processed(self) -> int:
        """How many saga events were read."""
        return self._events_processed

    def reset(self) -> None:
        """Forget spans, open and finished."""
        with self._lock:
            self._assembler = SpanAssembler()
            self._spans.clear()
            self._events_processed = 0

    def _handle(self, event: HypervisorEvent) -> None:
        with self._lock:
            self._events_processed += 1
            records = [_record(span) for span in self._assembler.feed(event)]
            self._spans.extend(records)
        sink = self._sink
        if sink is not None:
            for record in records:
                self._forward(sink, record)

    def _forward(self, sink: SpanSink, record: SagaSpanRecord) -> None:
        try:
            sink.record_span(
                name=record.name,
                start_time=record.start_time,
                end_time=record.end_time,
                attributes=dict(record.attributes),
                status=record.status,
            )
        except Exception as error:  # a user's sink: the next may succeed
            if is_from_handler(error):
                raise
            name = type(sink).__name__
            self._log.warning(f"sink {name}", "span sink %s raised", name, error=error)


def _record(span: FinishedSpan) -> SagaSpanRecord:
    attributes = dict(span.attributes)
    saga_id = str(attributes["agent.saga.id"])
    if span.scope == "saga":
        ended = "escalated" if span.status is SpanStatus.ERROR else "completed"
        if span.status is SpanStatus.UNSET:
            ended = "erased" if attributes.get(ERASED) else "expired"
        name = f"saga.{ended}.{saga_id}"
        attributes["agent.saga.step_id"] = ""
        attributes["agent.saga.step_action"] = {
            "completed": "complete",
            "escalated": "escalate",
            "erased": "complete",
        }.get(ended, "expire")
    else:
        name = span.name
    return SagaSpanRecord(
        name=name,
        saga_id=saga_id,
        step_id=str(attributes["agent.saga.step_id"]),
        step_action=str(attributes["agent.saga.step_action"]),
        start_time=span.start_ns / 1e9,
        end_time=span.end_ns / 1e9,
        status=str(attributes.setdefault("agent.saga.state", "error")),
        attributes=attributes,
    )
