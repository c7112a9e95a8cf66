"""The plugin ``otel``."""

from collections.abc import Mapping, Sequence

from attrs import define, field

from hypervisor_observability.hookspecs import PluginContext, hookimpl
from hypervisor_observability.spans.record import AttributeValue, FinishedSpan
from hypervisor_otel.config import OTelConfig
from hypervisor_otel.encoding import encode_spans
from hypervisor_otel.resource import describe_service
from hypervisor_otel.sender import OTLPSender


@define(eq=False)
class OTelPlugin:
    """Send finished spans to an OpenTelemetry collector.

    They keep the ids, times and parents that they have in the causal trace. OpenTelemetry's
    global providers are neither read nor set.
    """

    Config = OTelConfig
    default_payload = "none"

    config: OTelConfig = field(factory=OTelConfig)
    _sender: OTLPSender | None = field(default=None, init=False)
    _resource: Mapping[str, AttributeValue] = field(factory=dict, init=False)

    @property
    def rejected_spans(self) -> int:
        """Spans that the backend refused in answers that accepted the others of the batch."""
        return 0 if self._sender is None else self._sender.rejected_spans

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Read the certificates; the first batch opens the connection."""
        self._sender = OTLPSender(self.config, context.logger)
        self._resource = describe_service(context.service, self.config.resource)

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Send *spans* in one request."""
        assert self._sender is not None, "start comes first"  # noqa: S101 - the hooks' order
        self._sender.send(encode_spans(spans, self._resource))

    @hookimpl
    def stop(self) -> None:
        """Close the connection."""
        if self._sender is not None:
            self._sender.close()

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Send a request without spans."""
        sender = OTLPSender(self.config, context.logger)
        try:
            return sender.probe()
        finally:
            sender.close()
