"""The plugin: a page over the events of this process."""

from collections.abc import Iterator, Sequence
from itertools import count

from attrs import define, field

from hypervisor_observability import HypervisorEvent, PluginContext, hookimpl
from hypervisor_observability.release import RELEASE
from hypervisor_observability.serving.server import SiteServer
from hypervisor_observability.stores import Entry
from hypervisor_web.addresses import bound, is_default
from hypervisor_web.config import WebConfig
from hypervisor_web.everything import Model, whole_site
from hypervisor_web.feed.endpoints import Surroundings

_KEPT = "model"


@define(eq=False)
class WebPlugin:
    """Serve the page over the newest events of this process."""

    config: WebConfig
    _model: Model | None = field(default=None, init=False)
    _server: SiteServer | None = field(default=None, init=False)
    _numbers: Iterator[int] = field(factory=count, init=False)

    Config = WebConfig
    name = "web"

    @property
    def port(self) -> int:
        """The TCP port that is served; before the start the one of the configuration."""
        return self.config.port if self._server is None else self._server.server_port

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind the port and begin to answer."""
        # What an instance that hung has seen goes on.
        self._model = context.kept.setdefault(_KEPT, Model(self.config))
        self._model.observers.closed = False
        surroundings = Surroundings(
            title=context.service,
            place="this process",
            service=context.service,
            version=RELEASE,
        )
        site = whole_site(self._model, surroundings, context.logger)
        self._server = bound(
            self.config.port,
            lambda port: SiteServer(self.config.host, port, site),
            insist=not is_default(self.config.port),
        )
        self._server.start()

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Keep the newest, and have viewers see them."""
        if self._model is not None:
            self._model.observers.take([Entry("", next(self._numbers), event) for event in events])

    @hookimpl
    def stop(self) -> None:
        """End the streams, and free the port."""
        if self._model is not None:
            self._model.observers.close()
        if self._server is not None:
            self._server.stop()
            self._server = None
