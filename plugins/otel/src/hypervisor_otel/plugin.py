"""The plugin ``otel``."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define, field
from google.protobuf.message import Message

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.hookspecs import PluginContext, hookimpl
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.spans.record import AttributeValue, FinishedSpan
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_otel.attributes import fit_text
from hypervisor_otel.config import OTelConfig
from hypervisor_otel.encoding import request_of_spans
from hypervisor_otel.log_records import encode_logs
from hypervisor_otel.log_severity import SEVERITY_KEYS
from hypervisor_otel.metric_points import encode_metrics
from hypervisor_otel.request import Request
from hypervisor_otel.resource import describe_service
from hypervisor_otel.senders import Sender, make_sender, make_senders
from hypervisor_otel.sending import ENCODING_SECONDS
from hypervisor_otel.signals import LOGS, METRICS, SIGNALS, TRACES, Signal
from hypervisor_otel.variables import refuse_if_disabled

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


@define(eq=False)
class OTelPlugin:
    """Send finished spans, metrics and events as log records to an OpenTelemetry collector.

    They keep the ids, times and parents that they have in the causal trace. OpenTelemetry's
    global providers are neither read nor set, unless ``global = true`` asks for it.

    Attributes:
        config: Where to, and what.
        left_out: How many data points could not be written, by the name of their metric.
    """

    Config = OTelConfig
    # A log record's severity depends on these; its body has nothing else unless that is asked.
    default_payload = SEVERITY_KEYS

    config: OTelConfig = field(factory=OTelConfig)
    left_out: Counter[str] = field(factory=Counter, init=False)
    _senders: Mapping[str, Sender] = field(factory=dict, init=False)
    _resource: Mapping[str, AttributeValue] = field(factory=dict, init=False)
    _global: "TracerProvider | None" = field(default=None, init=False)
    _clock: Callable[[], int] = field(default=time.time_ns, init=False)
    _start_ns: int = field(default=0, init=False)
    _log: LimitedLog = field(factory=lambda: LimitedLog("hypervisor_otel"), init=False)

    @property
    def idle_hooks(self) -> frozenset[str]:
        """The hooks of the signals that are off."""
        return frozenset(one.hook for one in SIGNALS if one.name not in self.config.signals)

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
        """Spans that the backend refused in answers that accepted the others of the batch."""
        return self.rejected(TRACES)

    def rejected(self, signal: Signal) -> int:
        """Give how many items of *signal* were refused in answers that accepted the others."""
        sender = self._senders.get(signal.name)
        return 0 if sender is None else sender.rejected

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Read the certificates; the first batch opens the connection.

        Raises:
            RuntimeError: ``OTEL_SDK_DISABLED`` is set, or an extra is not installed.
            ValueError: A file of TLS holds something else.
            OSError: Such a file cannot be read.
        """
        refuse_if_disabled()
        self._log = LimitedLog(context.logger.name)
        self._senders = make_senders(self.config, context.logger)
        self._resource = describe_service(context.service, self.config.resource)
        if self.config.global_:
            self._global = self._set_global(context)
        self._clock = context.clock
        self._start_ns = context.clock()

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Send *events* as log records."""
        self._send(LOGS, encode_logs(events, self._resource))

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Send *spans*."""
        groups = [(spans, self._resource)]
        self._send(TRACES, request_of_spans(groups, self.config.profiles))

    @hookimpl
    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Send the state of all *metrics*.

        A value that is not finite, or beyond what OTLP holds, is left out, counted and told.
        """
        missing: Counter[str] = Counter()
        request = encode_metrics(
            metrics,
            self._resource,
            start_ns=self._start_ns,
            time_ns=self._clock(),
            left_out=missing,
        )
        if missing:
            self.left_out += missing
            names = ", ".join(map(fit_text, missing))
            self._log.warning("unwritable", "left out values that OTLP cannot hold: %s", names)
        self._send(METRICS, request)

    @hookimpl
    def stop(self) -> None:
        """Close the connections; spans of others that wait are sent before."""
        if self._global is not None:
            self._global.shutdown()
        for sender in self._senders.values():
            sender.close()

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Send a request that holds nothing for each signal."""
        refuse_if_disabled()
        senders = make_senders(self.config, context.logger)
        try:
            return ", ".join([sender.probe() for sender in senders.values()])
        finally:
            for sender in senders.values():
                sender.close()

    def _set_global(self, context: PluginContext) -> "TracerProvider":
        try:
            # Here, since it needs the extra.
            from hypervisor_otel.global_tracing import set_global_provider
        except ImportError as error:
            msg = f"global = true needs the extra hypervisor-otel[global] ({error})"
            raise RuntimeError(msg) from error
        config = self.config
        sender = make_sender(config.towards(config.endpoint), context.logger, TRACES)
        return set_global_provider(sender, self._resource, config.sample_ratio, self._log)

    def _send(self, signal: Signal, request: Message | Request) -> None:
        self._senders[signal.name].send(request)
