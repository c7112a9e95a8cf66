"""Spans of sagas, as ``hypervisor.observability.saga_span_exporter``."""

from ..spans.sagas import SagaSpanExporter, SagaSpanRecord, SpanSink

__all__ = ["SagaSpanExporter", "SagaSpanRecord", "SpanSink"]
