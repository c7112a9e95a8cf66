"""What the three signals of OTLP have of their own: a path, a request, and what is counted."""

from collections.abc import Callable

from attrs import frozen
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from hypervisor_otel.endpoint import LOGS_PATH, METRICS_PATH, TRACES_PATH


@frozen
class Signal:
    """A kind of telemetry.

    Attributes:
        name: As in the names of OpenTelemetry's variables, in lower case.
        items: What a request holds, in the plural.
        path: Where receivers take it over HTTP (OTLP specification, OTLP/HTTP Request).
        method: The gRPC method (opentelemetry-proto, the collector's services).
        empty: Makes a request that holds nothing.
        count: Counts what a request holds.
    """

    name: str
    items: str
    path: str
    method: str
    empty: Callable[[], Message]
    count: Callable[[Message], int]


def _spans(request: Message) -> int:
    assert isinstance(request, trace_service_pb2.ExportTraceServiceRequest)  # noqa: S101 - for mypy
    return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)


def _points(request: Message) -> int:
    assert isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest)  # noqa: S101 - as above
    return sum(
        len(getattr(metric, str(metric.WhichOneof("data"))).data_points)
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    )


def _records(request: Message) -> int:
    assert isinstance(request, logs_service_pb2.ExportLogsServiceRequest)  # noqa: S101 - as above
    return sum(
        len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs
    )


_SERVICE = "/opentelemetry.proto.collector"

TRACES = Signal(
    "traces",
    "spans",
    TRACES_PATH,
    f"{_SERVICE}.trace.v1.TraceService/Export",
    trace_service_pb2.ExportTraceServiceRequest,
    _spans,
)
METRICS = Signal(
    "metrics",
    "data points",
    METRICS_PATH,
    f"{_SERVICE}.metrics.v1.MetricsService/Export",
    metrics_service_pb2.ExportMetricsServiceRequest,
    _points,
)
LOGS = Signal(
    "logs",
    "log records",
    LOGS_PATH,
    f"{_SERVICE}.logs.v1.LogsService/Export",
    logs_service_pb2.ExportLogsServiceRequest,
    _records,
)
