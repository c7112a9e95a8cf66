"""An OTLP/HTTP receiver on loopback: it keeps requests, and decodes them where that can be done."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from attrs import define, field

from .http_receiver import Handler, HTTPReceiver, ReceivedRequest

_PROTOBUF = "application/x-protobuf"
# The paths are those of the OTLP specification (OTLP/HTTP Request).
_SIGNALS = {"/v1/traces": "trace", "/v1/metrics": "metrics", "/v1/logs": "logs"}


@define(eq=False)
class OTLPReceiver(HTTPReceiver):
    """Take requests to ``/v1/traces``, ``/v1/metrics`` and ``/v1/logs``; others get 404.

    It needs no package of OpenTelemetry. ``decoded`` needs ``opentelemetry-proto``.
    """

    answer_headers: Mapping[str, str] = field(factory=lambda: {"Content_Type": _PROTOBUF})
    error_status: int = 503
    """One that the OTLP specification (OTLP/HTTP Response) has clients retry: 500 is not."""

    def handle(self, request: ReceivedRequest, handler: Handler) -> None:
        """Answer a request, or fail to."""
        if request.path.partition("?")[0] not in _SIGNALS and self.fault is None:
            handler.answer(404)
            return
        super().handle(request, handler)

    def decoded(self, signal: str) -> list[Any]:
        """Give the requests of a *signal* as messages of ``opentelemetry-proto``.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.

        Raises:
            ModuleNotFoundError: That package is not installed.
            KeyError: There is no such signal.
        """
        path = f"/v1/{signal}"
        name = _SIGNALS[path]
        module = import_module(f"opentelemetry.proto.collector.{name}.v1.{name}_service_pb2")
        message = getattr(module, f"Export{name.capitalize()}ServiceRequest")
        with self.changed:
            arrived = [one for one in self.requests if one.path.partition("?")[0] == path]
        return [message.FromString(request.body) for request in arrived]
