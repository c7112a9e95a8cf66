"""The plugin: metrics and durations, sent to a StatsD server."""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from attrs import define, field

from hypervisor_observability import FinishedSpan, MetricFamily, PluginContext, RetryLater, hookimpl
from hypervisor_observability.network import Deadline, Resolve, system_addresses
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_statsd.clients import PartlySentError
from hypervisor_statsd.config import StatsDConfig, Via
from hypervisor_statsd.durations import Durations
from hypervisor_statsd.lines import Line, LineFormat, Series, packed
from hypervisor_statsd.readings import Readings
from hypervisor_statsd.traffic import Traffic
from hypervisor_statsd.transport import Server, Transport

_PROBE_SECONDS = 0.2
# A slow server is left for the next call.
_HOOK_SECONDS = 3.0
_READINGS = "statsd.readings"


@define(eq=False)
class StatsDPlugin:
    """Push metrics and the durations of finished work to StatsD.

    StatsD never answers. What the system reports (an unknown host, no route, nobody listening
    on this machine, a full queue, a closed connection) is raised, so that it is counted and
    sent again; what a network loses is lost in silence.

    Attributes:
        config: Where to, and how.
        resolve: How a host's name is looked up.
        traffic: What was sent and what was not.
    """

    config: StatsDConfig
    resolve: Resolve = field(default=system_addresses, kw_only=True)
    traffic: Traffic = field(factory=Traffic, init=False)
    _transport: Transport = field(init=False)
    _readings: Readings = field(init=False)
    _durations: Durations = field(init=False)
    _log: LimitedLog | None = field(default=None, init=False)

    Config = StatsDConfig
    name = "statsd"
    longest_call_seconds = _HOOK_SECONDS
    """How long one hook call may take, with its look-up and everything that it sends."""
    replays = False
    """Lines have no time: what an earlier process left behind would count as of now."""

    def __attrs_post_init__(self) -> None:
        config = self.config
        line_format = LineFormat(config.prefix, config.tags)
        self._transport = Transport(Server(config, self.resolve), self.traffic)
        self._readings = Readings(line_format)
        self._durations = Durations(line_format, config.durations, config.sample_rate)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Keep the logger. The host is looked up in the plugin's own thread."""
        self._log = LimitedLog(context.logger.name)
        if _READINGS in context.kept:
            # An instance before this one has hung: go on from what it has told.
            self._readings = context.kept[_READINGS]
            self._readings.holder = self
            return
        context.kept[_READINGS] = self._readings
        self._readings.holder = self
        if context.resumed:
            # What earlier processes have counted is not of now.
            tell(self._readings.lines(context.metrics.collect())[0])

    @hookimpl
    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Send gauges, and what counters gained since they were last sent."""
        lines, unsendable = self._readings.lines([*metrics, *self.traffic.families()])
        if unsendable:
            self.traffic.not_finite += unsendable.total()
            if self._log is not None:
                names = ", ".join(unsendable)
                self._log.warning("not finite", "left out values that are not finite: %s", names)
        readings = self._readings
        self._send(lines, lambda: readings.holder is self or readings.holder is None)

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Send durations."""
        self._send(self._durations.lines(spans), lambda: True)
        self._durations.settle(spans)
        self.traffic.sampled_out = self._durations.sampled_out

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
        config = self.config
        transport = Transport(Server(config, self.resolve))
        try:
            transport.send("" if config.via.is_stream else "\n")
            transport.raise_refusal(wait_seconds=_PROBE_SECONDS)
        except OSError as error:
            table = f"plugins.{context.name}"
            keys = f"{table}.socket" if config.via.is_local else f"{table}.host and {table}.port"
            raise OSError(
                f"{config.server}: {_reason(error)}: see that a StatsD server listens there, or"
                f" set {keys}"
            ) from error
        finally:
            transport.close()
        proof = (
            "UDP: not refused, which proves little"
            if config.via is Via.UDP
            else f"{config.via.value}: connected"
        )
        return f"StatsD at {config.server} ({proof})"

    def _send(self, lines: Iterable[Line], holds: Callable[[], bool]) -> None:
        deadline = Deadline.after(_HOOK_SECONDS)
        for group in packed(lines, self.config.packed_bytes):
            if not holds():
                return  # the one that has taken over tells the rest
            if deadline.passed:
                raise RetryLater(f"{self.config.server}: takes what it is sent too slowly")
            # Before it is sent: should this call hang and be given up, nobody sends it again.
            untell = tell(group)
            try:
                self._transport.send("\n".join([text for text, *_ in group]), deadline)
            except PartlySentError as error:
                sent = len(_before(group, error.sent_bytes))
                untell(sent)
                self.traffic.lines += sent
                raise self._failure(error) from error
            except OSError as error:
                untell(0)
                raise self._failure(error) from error
            self.traffic.lines += len(group)
            self.traffic.datagrams += 1

    def _failure(self, error: OSError) -> RetryLater:
        return RetryLater(f"{self.config.server}: {_reason(error)}")


def tell(group: Sequence[Line]) -> Callable[[int], None]:
    """Note that what *group* tells is not told again: see ``Series.told``.

    Returns:
        Takes it back, but for that many of the first lines. What another call has told
        meanwhile stays told, and no more than that.
    """
    before: list[tuple[Series | None, float, float, int]] = []
    for _, series, total in group:
        if series is None:
            before.append((None, 0.0, 0.0, 0))
            continue
        told = series.told
        series.lives += total < told
        before.append((series, told, total, series.lives))
        series.told = total

    def untell(but: int) -> None:
        for series, told, total, lives in before[but:]:
            if series is None or series.lives != lives:
                continue  # it has begun anew: what was told of its life before is over
            if series.told == total:
                series.told = told
            elif total > told:
                series.told -= total - told

    return untell


def _before(group: Sequence[Line], sent_bytes: int) -> Sequence[Line]:
    """Give those of *group* that are whole within its first bytes."""
    ends = accumulate(len(text) + 1 for text, *_ in group)
    return group[: sum(end <= sent_bytes for end in ends)]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
