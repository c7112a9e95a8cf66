"""What the three signals of OTLP have of their own: a path, a request, and what it consists of."""

from collections.abc import Callable

from attrs import frozen
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from hypervisor_otel.endpoint import LOGS_PATH, METRICS_PATH, TRACES_PATH
from hypervisor_otel.splitting import Levels, count


@frozen
class Signal:
    """A kind of telemetry.

    Attributes:
        name: As in the names of OpenTelemetry's variables, in lower case.
        hook: The one that takes what becomes it.
        items: What a request holds, in the plural.
        path: Where receivers take it over HTTP (OTLP specification, OTLP/HTTP Request).
        method: The gRPC method (opentelemetry-proto, the collector's services).
        empty: Makes a request that holds nothing.
        levels: What the messages in a request are called.
    """

    name: str
    hook: str
    items: str
    path: str
    method: str
    empty: Callable[[], Message]
    levels: Levels

    def parse(self, body: bytes) -> Message:
        """Read a request from protobuf.

        Raises:
            google.protobuf.message.DecodeError: It is none.
        """
        message = self.empty()
        message.ParseFromString(body)
        return message

    def count(self, request: Message) -> int:
        """Count what *request* holds."""
        return count(request, self.levels)


_SERVICE = "/opentelemetry.proto.collector"

TRACES = Signal(
    "traces",
    "export_spans",
    "spans",
    TRACES_PATH,
    f"{_SERVICE}.trace.v1.TraceService/Export",
    trace_service_pb2.ExportTraceServiceRequest,
    Levels("resource_spans", "scope_spans", "spans"),
)
METRICS = Signal(
    "metrics",
    "export_metrics",
    "data points",
    METRICS_PATH,
    f"{_SERVICE}.metrics.v1.MetricsService/Export",
    metrics_service_pb2.ExportMetricsServiceRequest,
    Levels("resource_metrics", "scope_metrics", "metrics", has_points=True),
)
LOGS = Signal(
    "logs",
    "export_events",
    "log records",
    LOGS_PATH,
    f"{_SERVICE}.logs.v1.LogsService/Export",
    logs_service_pb2.ExportLogsServiceRequest,
    Levels("resource_logs", "scope_logs", "log_records"),
)

SIGNALS = (TRACES, METRICS, LOGS)
"""All of them."""
