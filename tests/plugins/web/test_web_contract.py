"""What every plugin must hold."""

from collections.abc import Sequence
from pathlib import Path

from attrs import define

from hypervisor_observability import HypervisorEvent, hookimpl
from hypervisor_observability.testing import PluginContract
from hypervisor_web import WebConfig, WebPlugin


@define(eq=False)
class Telling(WebPlugin):
    """The plugin, which writes what its page has to a file: a fork's child has a page of its own.

    Attributes:
        file: The ids of the events, a line each.
    """

    file: Path

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Show them, then look at what is shown."""
        super().export_events(events)
        assert self._model is not None
        ring = self._model.observers.ring
        shown = [one.event.event_id for _, one in ring.read(ring.next - len(events), ring.next)]
        with self.file.open("a") as file:
            file.write("".join(f"{one}\n" for one in shown))


class TestWebPlugin(PluginContract):
    """The page in a process: what it is handed, it has."""

    def make_plugin(self) -> object:
        """Make one on a free port."""
        return Telling(WebConfig(port=0), self.directory / "shown")

    def arrived(self) -> Sequence[str]:
        """Give the ids of what the pages have."""
        file = self.directory / "shown"
        return self.ids_in(*file.read_text().splitlines()) if file.exists() else []
