"""The plugin: metrics at an address that Prometheus scrapes."""

import errno
import socket
from collections.abc import Iterable, Iterator

from attrs import define, field
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from hypervisor_observability import MetricFamily, PluginContext, hookimpl
from hypervisor_observability.limited_log import LimitedLog
from hypervisor_prometheus.config import PrometheusConfig, is_loopback
from hypervisor_prometheus.conversion import to_metric
from hypervisor_prometheus.exposition import dialect_of, exposition
from hypervisor_prometheus.requests import Page, Request, Site, text_page
from hypervisor_prometheus.server import MetricsServer

_HOME = """<!doctype html><html lang="en"><title>Metrics</title><h1>Metrics</h1><ul>
<li><a href="/metrics">/metrics</a>: what Prometheus scrapes
<li><a href="/-/healthy">/-/healthy</a>: the server answers
<li><a href="/-/ready">/-/ready</a>: the metrics can be read
</ul></html>
"""
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to show, not to bind


@define(eq=False)
class PrometheusPlugin:
    """Serve the metrics of the process over HTTP.

    The metrics are read when somebody scrapes, so the plugin has no export hook.
    """

    config: PrometheusConfig
    _server: MetricsServer | None = field(default=None, init=False)

    Config = PrometheusConfig
    name = "prometheus"

    @property
    def port(self) -> int:
        """The TCP port that is served; before the start the one of the configuration."""
        return self.config.port if self._server is None else self._server.server_port

    @property
    def url(self) -> str:
        """The address of the metrics, as this machine reaches it."""
        host = _WILDCARDS.get(self.config.host, self.config.host)
        return f"http://{_authority(host, self.port)}/metrics"

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind the port and begin to answer."""
        log = LimitedLog(context.logger.name)

        def metrics(request: Request) -> Page:
            encode, content_type = choose_encoder(request.accept)
            families = context.metrics.collect()
            dialect = dialect_of(content_type)
            text = None if dialect is None else exposition(families, dialect)
            if text is None:
                registry = CollectorRegistry()
                registry.register(_FamilyCollector(families, log))
                text = encode(registry)
            return Page(content_type, text)

        site = Site(
            {
                "/": lambda _: Page("text/html; charset=utf-8", _HOME.encode()),
                "/metrics": metrics,
                "/-/healthy": lambda _: text_page("healthy\n"),
                "/-/ready": lambda _: text_page("ready\n"),
            },
            local_only=is_loopback(self.config.host),
            logger=context.logger,
        )
        self._server = self._bound(context, site)
        self._server.start()
        context.logger.info("metrics at %s", self.url)
        if not site.local_only:
            context.logger.warning(
                "other machines can read the metrics at %s, unencrypted and without a password",
                _authority(self.config.host, self.port),
            )

    @hookimpl
    def stop(self) -> None:
        """Free the port."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Try whether the port can be had, and let go of it."""
        site = Site({}, local_only=True, logger=context.logger)
        self._bound(context, site).server_close()
        if self.config.port == 0:
            return f"a free port of {self.config.host or 'all interfaces'} will be picked"
        return f"{self.url} can be served"

    def _bound(self, context: PluginContext, site: Site) -> MetricsServer:
        host, port = self.config.host, self.config.port
        try:
            return MetricsServer(host, port, site)
        except OSError as error:
            advice = _advice(error, f"plugins.{context.name}")
            raise OSError(f"{_authority(host, port)} {advice}") from error


class _FamilyCollector(Collector):
    """Families, as prometheus_client's encoders ask for them."""

    def __init__(self, families: Iterable[MetricFamily], log: LimitedLog) -> None:
        self._families = families
        self._log = log

    def describe(self) -> list[Metric]:
        """Tell nothing in advance: which families there are shows at a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the present state; one family that cannot be shown does not hide the others."""
        for family in self._families:
            try:
                metric = to_metric(family)
            except (TypeError, ValueError, OverflowError) as error:
                self._log.warning(family.name, "metric %r cannot be shown: %s", family.name, error)
            else:
                yield metric


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _advice(error: OSError, table: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"is in use: set {table}.port to another port, or to 0 for any free one"
    if error.errno == errno.EACCES:
        return f"is not for this user: set {table}.port to one above 1023"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"is no address of this machine: set {table}.host to one"
    return f"cannot be had: {error.strerror or error}"
