"""The plugin: a page over the events of this process."""

from collections.abc import Sequence

import click
from attrs import define, field

from hypervisor_observability import HypervisorEvent, PluginContext, hookimpl
from hypervisor_observability.release import RELEASE
from hypervisor_observability.serving.binding import bind, warn_of_others
from hypervisor_observability.serving.server import SiteServer
from hypervisor_observability.stores import Entry
from hypervisor_web.addresses import address, spare_ports
from hypervisor_web.boards.health import Health, health_of_this_process
from hypervisor_web.config import WebConfig
from hypervisor_web.everything import Model, whole_site
from hypervisor_web.feed.endpoints import Surroundings

_KEPT = "model"


@define(eq=False)
class WebPlugin:
    """Serve the page over the newest events of this process.

    In a fork's child the page begins again, on a port of its own, when the child first emits.
    """

    config: WebConfig
    _model: Model | None = field(default=None, init=False)
    _server: SiteServer | None = field(default=None, init=False)

    Config = WebConfig
    name = "web"
    # For people who look on: what has begun shows within a tenth of a second.
    default_interval_seconds = 0.05

    @property
    def port(self) -> int:
        """The TCP port that is served; before the start the one of the configuration."""
        return self.config.port if self._server is None else self._server.server_port

    @property
    def url(self) -> str:
        """The address of the page, with the token: for whoever may see everything."""
        if self._model is None:
            return self.config.url(self.port)
        return address(self.config, self.port, self._model.token)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind the port and begin to answer."""
        # What an instance that hung has seen is kept.
        if _KEPT not in context.kept:
            context.kept[_KEPT] = Model(self.config, context.prices)
        self._model = context.kept[_KEPT]
        self._model.observers.open()
        surroundings = Surroundings(
            title=context.service,
            place="this process",
            service=context.service,
            version=RELEASE,
        )

        def health() -> Health:
            return health_of_this_process(context.metrics.collect(), context.service)

        site = whole_site(self._model, surroundings, context.logger, health)
        keys = f"plugins.{context.name}."
        self._server = bind(self.config, site, keys, spare_ports(self.config))
        self._server.start()
        context.logger.info(
            "the page is at %s (its token: %stoken, or observability.page_urls())",
            self.config.url(self.port),
            keys,
        )
        warn_of_others(self.config, self._server)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Keep the newest, and have viewers see them."""
        if (model := self._model) is not None:
            model.observers.take(Entry("", next(model.numbers), event) for event in events)

    @hookimpl
    def stop(self) -> None:
        """End the streams, and free the port."""
        if self._model is not None:
            self._model.observers.close()
        if self._server is not None:
            self._server.stop()
            self._server = None

    @hookimpl
    def check(self, context: PluginContext) -> str:
        """Try whether the port can be had, and let go of it."""
        site = whole_site(Model(self.config), Surroundings(title="", place=""), context.logger)
        spare = spare_ports(self.config)
        server = bind(self.config, site, f"plugins.{context.name}.", spare)
        server.server_close()
        if self.config.port == 0:
            return f"a free port of {self.config.host or 'all interfaces'} will be picked"
        return f"the page can be served at {self.config.url(server.server_port)}"

    @hookimpl
    def trace_url(self, trace: str) -> str | None:
        """Give the address of a trace on the page, without the token; None where no page is served.

        It shows what this process does, so an address that outlives the process would lead nowhere.
        """
        return None if self._server is None else f"{self.config.url(self.port)}/#/trace/{trace}"

    @hookimpl
    def page_url(self) -> str | None:
        """Give the address of the page, with the token; None where no page is served."""
        return None if self._server is None else self.url

    @classmethod
    @hookimpl
    def commands(cls) -> Sequence[click.Command]:
        """Give ``serve``, which shows what others record, and ``mcp``, which answers questions."""
        from hypervisor_web.commands import serve
        from hypervisor_web.mcp.command import mcp

        return [serve, mcp]
