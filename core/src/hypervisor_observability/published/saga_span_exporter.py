"""Spans of sagas, as ``hypervisor.observability.saga_span_exporter``."""

from hypervisor_observability.spans.sagas import SagaSpanExporter, SagaSpanRecord, SpanSink

__all__ = ["SagaSpanExporter", "SagaSpanRecord", "SpanSink"]
