"""The plugin: metrics and durations, sent to a StatsD server over UDP."""

from collections.abc import Iterable, Sequence

from attrs import define, field

from hypervisor_observability import (
    FinishedSpan,
    MetricFamily,
    PluginContext,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.limited_log import LimitedLog
from hypervisor_statsd.config import StatsDConfig
from hypervisor_statsd.lines import Line, LineFormat, packed
from hypervisor_statsd.readings import Readings, span_lines
from hypervisor_statsd.transport import Transport

_PROBE_SECONDS = 0.2


@define(eq=False)
class StatsDPlugin:
    """Push metrics and the durations of finished work to StatsD.

    UDP has no answers. What the system reports (an unknown host, no route, nobody listening
    on this machine) is raised, so that it is counted and sent again; what a network loses is
    lost in silence.
    """

    config: StatsDConfig
    _transport: Transport = field(init=False)
    _readings: Readings = field(init=False)
    _log: LimitedLog | None = field(default=None, init=False)

    Config = StatsDConfig
    name = "statsd"

    def __attrs_post_init__(self) -> None:
        self._transport = Transport(self.config.host, self.config.port)
        self._readings = Readings(LineFormat(self.config.prefix, self.config.tags))

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Keep the logger. The host is looked up in the plugin's own thread."""
        self._log = LimitedLog(context.logger.name)

    @hookimpl
    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Send gauges, and what counters gained since they were last sent."""
        lines, unsendable = self._readings.lines(metrics)
        if unsendable and self._log is not None:
            names = ", ".join(unsendable)
            self._log.warning("not finite", "left out values that are not finite: %s", names)
        self._send(lines)

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Send durations."""
        self._send(span_lines(spans, self._readings.format))

    @hookimpl
    def flush(self) -> None:
        """Find out whether what was sent was refused. Nothing is held back."""
        try:
            self._transport.raise_refusal()
        except OSError as error:
            raise self._failure(error) from error

    @hookimpl
    def stop(self) -> None:
        """Close the socket."""
        self._transport.close()

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Send an empty line, which servers skip, and see whether it is refused."""
        transport = Transport(self.config.host, self.config.port)
        try:
            transport.send("\n")
            transport.raise_refusal(wait_seconds=_PROBE_SECONDS)
        except OSError as error:
            table = f"plugins.{context.name}"
            raise OSError(
                f"{self._server}: {_reason(error)}: see that a StatsD server listens there, or"
                f" set {table}.host and {table}.port"
            ) from error
        finally:
            transport.close()
        return f"StatsD at {self._server} (UDP: not refused, which proves little)"

    @property
    def _server(self) -> str:
        host = self.config.host
        return f"[{host}]:{self.config.port}" if ":" in host else f"{host}:{self.config.port}"

    def _send(self, lines: Iterable[Line]) -> None:
        for group in packed(lines, self.config.max_datagram_bytes):
            try:
                self._transport.send("\n".join([text for text, *_ in group]))
            except OSError as error:
                raise self._failure(error) from error
            # What a counter has been told moves on when the datagram that tells it was sent.
            for _, series, total in group:
                if series is not None:
                    series.told = total

    def _failure(self, error: OSError) -> RetryLater:
        return RetryLater(f"{self._server}: {_reason(error)}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
