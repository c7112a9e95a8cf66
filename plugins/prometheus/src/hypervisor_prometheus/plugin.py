"""The plugin: metrics at an address that Prometheus scrapes."""

from collections.abc import Sequence

import click
from attrs import define, field

from hypervisor_observability import PluginContext, hookimpl
from hypervisor_observability.files.atomic_file import kind_of
from hypervisor_observability.serving.binding import bind, warn_of_others
from hypervisor_observability.serving.pages import Page, text_page
from hypervisor_observability.serving.server import SiteServer
from hypervisor_observability.serving.site import CLOSED_POLICY, SAFE_HEADERS, Site
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_prometheus.commands import commands
from hypervisor_prometheus.config import PrometheusConfig
from hypervisor_prometheus.leaving import push, write_textfile
from hypervisor_prometheus.rendering import Renderer

_HOME = """<!doctype html><html lang="en"><title>Metrics</title><h1>Metrics</h1><ul>
<li><a href="/metrics">/metrics</a>: what Prometheus scrapes
<li><a href="/-/healthy">/-/healthy</a>: the server answers
<li><a href="/-/ready">/-/ready</a>: the metrics can be read
</ul></html>
"""
_OPEN_PAGES = frozenset({"/-/healthy", "/-/ready"})  # probes have no password, and learn nothing


@define(eq=False)
class PrometheusPlugin:
    """Serve the metrics of the process over HTTP.

    The metrics are read when somebody scrapes, so the plugin has no export hook.
    """

    config: PrometheusConfig
    _server: SiteServer | None = field(default=None, init=False)
    _context: PluginContext | None = field(default=None, init=False)

    Config = PrometheusConfig
    name = "prometheus"

    @property
    def port(self) -> int:
        """The TCP port that is served; before the start the one of the configuration."""
        return self.config.port if self._server is None else self._server.server_port

    @property
    def url(self) -> str:
        """The address of the metrics, as this machine reaches it."""
        return f"{self.config.url(self.port)}/metrics"

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind the port and begin to answer."""
        if self.config.serve:
            self._serve(context)
        self._context = context

    @hookimpl
    def stop(self) -> None:
        """Free the port, and leave the metrics behind where that is wanted."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._context is not None:
            context, self._context = self._context, None
            self._leave(context)

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Try whether the port can be had, and let go of it."""
        config = self.config
        if config.textfile is not None and (kind := kind_of(config.textfile)) is not None:
            raise OSError(f"plugins.{context.name}.textfile: {config.textfile} is {kind}")
        if not config.serve:
            left = [str(one) for one in (config.textfile, config.pushgateway) if one is not None]
            return f"at the end: {', '.join(left)}" if left else "nothing is served or left"
        bind(config, Site(self.name, {}, context.logger), _keys(context)).server_close()
        if config.port == 0:
            return f"a free port of {config.host or 'all interfaces'} will be picked"
        return f"{self.url} can be served"

    @hookimpl
    def commands(self) -> Sequence[click.Command]:
        """Give what stands under ``hvobs prometheus``."""
        return commands(self.config)

    def _serve(self, context: PluginContext) -> None:
        renderer = Renderer(context.metrics.collect, LimitedLog(context.logger.name))
        site = Site(
            self.name,
            {
                "/": lambda _: Page("text/html; charset=utf-8", _HOME.encode()),
                "/metrics": lambda request: Page(*renderer.render(request.accept)),
                "/-/healthy": lambda _: text_page("healthy\n"),
                "/-/ready": lambda _: text_page("ready\n"),
            },
            context.logger,
            hosts=self.config.names,
            credentials=self.config.credentials,
            open_pages=_OPEN_PAGES,
            realm="metrics",
            headers={**SAFE_HEADERS, "Content-Security-Policy": CLOSED_POLICY},
            not_found="there is /metrics, /-/healthy and /-/ready",
        )
        self._server = bind(self.config, site, _keys(context))
        self._server.start()
        context.logger.info("metrics at %s", self.url)
        warn_of_others(self.config, self._server)

    def _leave(self, context: PluginContext) -> None:
        """Leave the metrics behind; neither way of it keeps the other from being tried."""
        config, collect = self.config, context.metrics.collect
        limited = LimitedLog(context.logger.name)
        if config.textfile is not None:
            try:
                write_textfile(collect, config.textfile)
            except OSError as error:
                limited.warning("textfile", "metrics were not written: %s", error)
        if config.pushgateway is not None:
            try:
                push(
                    collect,
                    config.pushgateway,
                    job=config.push_job or context.service,
                    grouping=config.push_grouping,
                    timeout=config.push_timeout_seconds,
                )
            except OSError as error:
                limited.warning(
                    "push", "metrics were not pushed to %s: %s", config.pushgateway, error
                )


def _keys(context: PluginContext) -> str:
    return f"plugins.{context.name}."
