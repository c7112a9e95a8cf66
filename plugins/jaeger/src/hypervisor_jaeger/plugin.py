"""The plugin ``jaeger``."""

from collections.abc import Mapping, Sequence

import click
from attrs import define, field

from hypervisor_jaeger import links
from hypervisor_jaeger.config import JaegerConfig
from hypervisor_jaeger.shaping import by_service, shape
from hypervisor_jaeger.upload_file import UploadFile
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.hookspecs import PluginContext, hookimpl
from hypervisor_observability.spans.record import AttributeValue, FinishedSpan
from hypervisor_otel import ENCODING_SECONDS, OTLPSender, describe_service, request_of_spans


@define(eq=False)
class JaegerPlugin:
    """Send finished spans to Jaeger over OTLP, and keep the newest for its upload.

    Jaeger itself marks a span whose status is ERROR with the tag ``error``.
    """

    Config = JaegerConfig
    default_payload = "none"

    config: JaegerConfig = field(factory=JaegerConfig)
    _sender: OTLPSender | None = field(default=None, init=False)
    _service: str = field(default="", init=False)
    _upload: UploadFile | None = field(default=None, init=False)

    @property
    def sample_ratio(self) -> float:
        """Which part of the traces it is to be handed, from 0 to 1."""
        return self.config.sample_ratio

    @property
    def longest_call_seconds(self) -> float:
        """How long one hook call may take, with its look-ups and all its requests."""
        return self.config.timeout_seconds + ENCODING_SECONDS

    @property
    def pending_sessions(self) -> bool:
        """Whether it is to be told of sessions when they begin, too."""
        return self.config.pending_sessions

    @property
    def rejected_spans(self) -> int:
        """Spans that Jaeger refused in answers that accepted the others of the batch."""
        return 0 if self._sender is None else self._sender.rejected_spans

    @hookimpl
    def trace_url(self, trace: CausalTraceId | str) -> str:
        """Give the address of the page of Jaeger that shows *trace*.

        Raises:
            ValueError: It is neither a causal id nor 32 hexadecimal digits.
        """
        return links.trace_url(trace, ui_url=self.config.ui_url)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Read the certificates; the first batch opens the connection."""
        self._service = self.config.service or context.service
        path = self.config.upload_file
        if path is not None:
            if not path.parent.is_dir():
                msg = f"upload_file: there is no directory {path.parent}"
                raise FileNotFoundError(msg)
            tags = describe_service(self._service, {})
            del tags["service.name"]  # a field of its own there
            self._upload = UploadFile(path, self.config.upload_max_spans, tags)
        self._sender = OTLPSender(self.config, context.logger)

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Send *spans* in one request. The upload file gets them whatever Jaeger says."""
        assert self._sender is not None, "start comes first"  # noqa: S101 - the hooks' order
        services = by_service(
            map(shape, spans), self._service, per_agent=self.config.service_per_agent
        )
        if self._upload is not None:
            self._upload.add(services)
        self._sender.send(
            request_of_spans(
                (of_service, self._describe(service)) for service, of_service in services.items()
            )
        )

    @hookimpl
    def flush(self) -> None:
        """Write the upload file."""
        if self._upload is not None:
            self._upload.write()

    @hookimpl
    def stop(self) -> None:
        """Close the connection and write the upload file."""
        if self._sender is not None:
            self._sender.close()
        self.flush()

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Send a request without spans."""
        sender = OTLPSender(self.config, context.logger)
        try:
            return f"Jaeger: {sender.probe()}"
        finally:
            sender.close()

    @hookimpl
    def commands(self) -> Sequence[click.Command]:
        """Give ``open``, ``fetch``, ``compare`` and ``export``."""
        from hypervisor_jaeger.commands import commands

        return commands(self.config)

    def _describe(self, service: str) -> Mapping[str, AttributeValue]:
        is_agent = service != self._service
        # Agents of one system stay together in Jaeger by their namespace.
        return describe_service(service, {"service.namespace": self._service} if is_agent else {})
