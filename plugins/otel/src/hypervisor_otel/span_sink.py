"""Saga spans into a ``TracerProvider`` that the application has already."""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from opentelemetry import trace
from opentelemetry.context import Context

from hypervisor_observability import __version__
from hypervisor_otel.attributes import fit_integer, fit_text, fit_time
from hypervisor_otel.resource import SCOPE_NAME

MAX_WAITING_SPANS = 10_000
"""How many spans wait for the ends of their sagas; the sagas that have waited longest go."""

_SAGA = re.compile(r"saga\.(completed|escalated|expired)\.")
_COMPENSATION = "saga.compensate."


@frozen
class _Record:
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    status: str

    def said(self, key: str) -> str:
        return str(self.attributes.get(f"agent.saga.{key}", ""))

    @property
    def failed(self) -> bool:
        # Of a compensation the status says only that it is one.
        return self.status == "error" or bool(self.said("error"))

    @property
    def is_compensation(self) -> bool:
        return self.name.startswith(_COMPENSATION)


@define(eq=False)
class _MadeSteps:
    """Steps that were made into spans, by what the links of compensations ask for."""

    failed: trace.SpanContext | None = None
    by_id: dict[str, trace.SpanContext] = field(factory=dict)

    def add(self, record: _Record, context: trace.SpanContext) -> None:
        if record.is_compensation:
            return
        self.by_id[record.said("step_id")] = context
        if record.failed:
            self.failed = context

    def links_of(self, record: _Record) -> list[trace.Link]:
        """A compensation's: to the step that failed last, and to the one that it undoes."""
        if not record.is_compensation:
            return []
        step_id = record.said("step_id")
        undone = self.by_id.get(step_id) if step_id else None
        pairs = [(self.failed, "caused_by"), (undone, "compensates")]
        return [trace.Link(one, {"link.type": kind}) for one, kind in pairs if one is not None]


class OTelSpanSink:
    """Hand the spans of a ``SagaSpanExporter`` to an OpenTelemetry provider, as its spans.

    They have the times at which the work was done. Steps and compensations are children of
    their saga, so they wait until it has ended; compensations have links to the step that
    failed and to the step that they undo. The saga's parent is the span that is current when
    it ends. The ids are the provider's: one that is to have the causal ids needs the plugin.
    May be used from any thread.

    Args:
        provider: Whose spans they become. None: OpenTelemetry's global one, as it is when
            the first span is recorded.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer: trace.Tracer | None = None
        self._waiting: OrderedDict[str, list[_Record]] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    def record_span(
        self,
        name: str,
        start_time: float,
        end_time: float,
        attributes: dict[str, Any],
        status: str,
    ) -> None:
        """Take a span; times are seconds since the epoch."""
        record = _Record(
            name, _nanoseconds(start_time), _nanoseconds(end_time), dict(attributes), status
        )
        if _SAGA.match(name):
            self._make_saga(record, self._parts_of(record.said("id")))
        else:
            for parts in self._wait(record):
                self._make_parts(parts, None)

    def flush(self) -> None:
        """Make spans of all that still wait; without their sagas they have no common parent."""
        with self._lock:
            waiting, self._waiting, self._count = self._waiting, OrderedDict(), 0
        for parts in waiting.values():
            self._make_parts(parts, None)

    def _parts_of(self, saga_id: str) -> list[_Record]:
        with self._lock:
            parts = self._waiting.pop(saga_id, [])
            self._count -= len(parts)
        return parts

    def _wait(self, record: _Record) -> list[list[_Record]]:
        """Let *record* wait; give what has to wait no longer since it is too much."""
        given_up: list[list[_Record]] = []
        with self._lock:
            self._waiting.setdefault(record.said("id"), []).append(record)
            self._count += 1
            while self._count > MAX_WAITING_SPANS:
                _, parts = self._waiting.popitem(last=False)
                self._count -= len(parts)
                given_up.append(parts)
        return given_up

    def _make_saga(self, record: _Record, parts: Sequence[_Record]) -> None:
        # An id in a span's name would make as many names as there are sagas.
        name = record.name.removesuffix(f".{record.said('id')}")
        saga = self._make(record, name, None, ())
        self._make_parts(parts, trace.set_span_in_context(saga))
        saga.end(record.end_ns)

    def _make_parts(self, parts: Sequence[_Record], parent: Context | None) -> None:
        made = _MadeSteps()
        for record in parts:
            span = self._make(record, record.name, parent, made.links_of(record))
            span.end(record.end_ns)
            made.add(record, span.get_span_context())

    def _make(
        self, record: _Record, name: str, parent: Context | None, links: Sequence[trace.Link]
    ) -> trace.Span:
        if self._tracer is None:
            self._tracer = trace.get_tracer(SCOPE_NAME, __version__, self._provider)
        span = self._tracer.start_span(
            fit_text(name),
            parent,
            attributes={key: _fit(value) for key, value in record.attributes.items() if key},
            links=links,
            start_time=record.start_ns,
        )
        if record.failed:
            reason = record.said("error") or record.said("reason")
            span.set_status(trace.StatusCode.ERROR, fit_text(reason) or None)
        else:
            span.set_status(trace.StatusCode.OK)
        return span


def _nanoseconds(seconds: float) -> int:
    """Give a time as the SDK's exporters can write it; one that cannot be would cost a batch."""
    try:
        return fit_time(round(seconds * 1e9))
    except (ValueError, OverflowError):  # no number, or infinite
        return 0


def _fit(value: Any) -> str | bool | int | float:
    if isinstance(value, (bool, float)):
        return value
    return fit_integer(value) if isinstance(value, int) else fit_text(str(value))
