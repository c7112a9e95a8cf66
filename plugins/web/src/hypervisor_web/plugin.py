"""The plugin: a page over the events of this process."""

from attrs import define, field

from hypervisor_observability import PluginContext, hookimpl
from hypervisor_observability.serving.requests import Site
from hypervisor_observability.serving.server import SiteServer
from hypervisor_web.assets import pages
from hypervisor_web.config import WebConfig


@define(eq=False)
class WebPlugin:
    """Serve the page."""

    config: WebConfig
    _server: SiteServer | None = field(default=None, init=False)

    Config = WebConfig
    name = "web"

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind the port and begin to answer."""
        site = Site(pages(), local_only=not self.config.allow_remote, logger=context.logger)
        self._server = SiteServer(self.config.host, self.config.port, site)
        self._server.start()

    @hookimpl
    def stop(self) -> None:
        """Free the port."""
        if self._server is not None:
            self._server.stop()
            self._server = None
