"""A small OTLP/HTTP receiver on loopback, for tests and demonstrations.

::

    with OTLPReceiver() as receiver:
        ...  # send to receiver.endpoint
        receiver.wait_for(3)
        print(receiver.spans[0].name)

It is no collector: it keeps what it gets, in memory, up to a bound.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Self

from attrs import define, field, frozen
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1 import trace_pb2

from hypervisor_observability.spans.record import AttributeValue
from hypervisor_otel.attributes import decode_attributes
from hypervisor_otel.receiver_server import ReceiverServer


@frozen
class ReceivedSpan:
    """A span as it arrived.

    Attributes:
        message: The official protobuf message.
        resource: Attributes of what it came from.
        scope_name: Who made it.
        scope_version: Its version.
    """

    message: trace_pb2.Span
    resource: Mapping[str, AttributeValue]
    scope_name: str
    scope_version: str

    @property
    def name(self) -> str:
        """The span's name."""
        return self.message.name

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.message.trace_id.hex()

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.message.span_id.hex()

    @property
    def parent_span_id(self) -> str | None:
        """16 hexadecimal digits; None for a root."""
        return self.message.parent_span_id.hex() or None

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The span's attributes that are scalars."""
        return decode_attributes(self.message.attributes)


@define(eq=False)
class OTLPReceiver:
    """Receive at ``endpoint`` between ``start`` and ``stop``; a context manager.

    Attributes:
        max_spans: How many spans are kept, and how many log records; the newest are.
        received_spans: How many have arrived.
        requests: How many requests were accepted.
    """

    max_spans: int = 100_000
    received_spans: int = field(default=0, init=False)
    requests: int = field(default=0, init=False)
    _kept: deque[ReceivedSpan] = field(init=False)
    _logs: deque[LogRecord] = field(init=False)
    _metrics: dict[str, Metric] = field(factory=dict, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    _server: ReceiverServer | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = deque(maxlen=self.max_spans)
        self._logs = deque(maxlen=self.max_spans)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on a free port of 127.0.0.1.

        Raises:
            OSError: There is none.
        """
        self._server = ReceiverServer(self.keep)
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="otlp-receiver", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port and every connection. What was received stays."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.close_connections()

    @property
    def endpoint(self) -> str:
        """The URL for a sender's configuration.

        Raises:
            RuntimeError: The receiver is not started.
        """
        if self._server is None:
            msg = "the receiver is not started"
            raise RuntimeError(msg)
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """The newest spans, in the order of their arrival."""
        with self._changed:
            return list(self._kept)

    @property
    def logs(self) -> list[LogRecord]:
        """The newest log records, in the order of their arrival."""
        with self._changed:
            return list(self._logs)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The last state of each metric, by its name."""
        with self._changed:
            return dict(self._metrics)

    def wait_for(self, count: int, *, timeout: float = 5.0) -> bool:
        """Wait until *count* spans have arrived; False if *timeout* seconds were too short."""
        with self._changed:
            return self._changed.wait_for(lambda: self.received_spans >= count, timeout)

    def keep(self, request: Message) -> None:
        """Take what *request* holds."""
        with self._changed:
            if isinstance(request, ExportTraceServiceRequest):
                arrived = list(_spans(request))
                self._kept.extend(arrived)
                self.received_spans += len(arrived)
            elif isinstance(request, ExportLogsServiceRequest):
                for logs in request.resource_logs:
                    for log_scope in logs.scope_logs:
                        self._logs.extend(log_scope.log_records)
            elif isinstance(request, ExportMetricsServiceRequest):
                for metrics in request.resource_metrics:
                    for scope in metrics.scope_metrics:
                        self._metrics.update({metric.name: metric for metric in scope.metrics})
            self.requests += 1
            self._changed.notify_all()


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for group in request.resource_spans:
        resource = decode_attributes(group.resource.attributes)
        for scope in group.scope_spans:
            name, version = scope.scope.name, scope.scope.version
            for span in scope.spans:
                yield ReceivedSpan(span, resource, name, version)
