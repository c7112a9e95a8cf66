"""The page over events that a test emits, served on a free port."""

from collections.abc import Iterable

from attrs import define, field
from playwright.sync_api import Page

from hypervisor_observability import HypervisorEvent, Observability
from hypervisor_observability.config import Secret
from hypervisor_web import WebConfig, WebPlugin
from tests.ports import free_port

TOKEN = "token-of-the-tests-0123456789"


@define(eq=False)
class Shown:
    """A plugin that serves the page, and the bus whose events it shows.

    Attributes:
        port: Where it is served.
        observability: Its ``bus`` takes what the page is to show.
    """

    port: int = field(factory=free_port)
    observability: Observability = field(init=False)

    def __attrs_post_init__(self) -> None:
        plugin = WebPlugin(WebConfig(port=self.port, token=Secret(TOKEN)))
        self.observability = Observability(plugins=[plugin])

    @property
    def address(self) -> str:
        """The address without the token."""
        return f"http://127.0.0.1:{self.port}/"

    def emit(self, *events: HypervisorEvent) -> None:
        """Emit *events*, and wait until the page can have them."""
        self.emit_all(events)

    def emit_all(self, events: Iterable[HypervisorEvent]) -> None:
        """Emit *events*, and wait until the page can have them."""
        for event in events:
            self.observability.bus.emit(event)
        assert self.observability.flush(timeout=60)

    def open(self, page: Page, view: str = "#/") -> Page:
        """Show *view* in *page*, as one who has the printed address."""
        page.goto(f"{self.address}#token={TOKEN}")
        if view != "#/":
            page.goto(f"{self.address}{view}")
        return page
