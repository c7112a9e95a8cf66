"""OpenTelemetry's global TracerProvider, sending where the plugin sends. Needs ``global``.

Only an application that has none, and asks for it, gets one.
"""

from collections.abc import Mapping, Sequence

from attrs import define
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.spans.record import AttributeValue
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_otel.senders import Sender


@define(eq=False)
class _Exporter(SpanExporter):
    """Send the SDK's spans over a sender of their own; what fails is lost, and told."""

    sender: Sender
    limited_log: LimitedLog

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send *spans* once."""
        try:
            self.sender.send(self._encoded(spans))
        except (RetryLater, Reject) as error:
            self.limited_log.warning("global", "%d spans of others are lost: %s", len(spans), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        self.sender.close()

    def _encoded(self, spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        """Encode *spans*; one that cannot be written is left out alone."""
        try:
            return encode_spans(spans)
        except Exception as error:  # noqa: BLE001 - of the SDK's encoder, whatever it may be
            writable = [span for span in spans if _is_writable(span)]
            self.limited_log.warning(
                "unwritable",
                "%d spans of others cannot be written: %s",
                len(spans) - len(writable),
                error,
            )
            return encode_spans(writable)


def _is_writable(span: ReadableSpan) -> bool:
    try:
        encode_spans([span])
    except Exception:  # noqa: BLE001 - of the SDK's encoder, whatever it may be
        return False
    return True


def set_global_provider(
    sender: Sender, resource: Mapping[str, AttributeValue], ratio: float, log: LimitedLog
) -> TracerProvider:
    """Make a provider that sends over *sender*, and set it; the caller shuts it down.

    Raises:
        RuntimeError: There is one already.
    """
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        resource=Resource(dict(resource)),
        shutdown_on_exit=False,
    )
    trace.set_tracer_provider(provider)
    if trace.get_tracer_provider() is not provider:
        msg = "global = true: the application has set a global TracerProvider already"
        raise RuntimeError(msg)
    provider.add_span_processor(BatchSpanProcessor(_Exporter(sender, log)))
    return provider
