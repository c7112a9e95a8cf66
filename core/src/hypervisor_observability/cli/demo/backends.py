"""The backends inside the demonstration: where each plugin sends, and what arrives there."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from attrs import define, field

from ...metrics.activity import EVENTS
from .comparison import Emitted, Received, compare_spans, compare_types
from .receivers import StatsDReceiver, scrape

ARRIVAL_SECONDS = 2.0
"""How long to wait until what was sent has arrived, within one process."""


@define(eq=False)
class Backend(ABC):
    """A backend inside the command.

    Attributes:
        receiver: What listens; None: nothing does, or nothing yet.
    """

    receiver: Any = None

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: There is no port.
            ImportError: The receiver is missing.
        """
        if self.receiver is not None:
            self.receiver.start()

    def stop(self) -> None:
        """Stop listening."""
        if self.receiver is not None:
            self.receiver.stop()

    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """Give the configuration of the plugin that sends here."""

    @abstractmethod
    def received(self, emitted: Emitted, plugin: Any) -> Received:
        """Compare what has arrived.

        Raises:
            OSError: The backend cannot be asked.
        """


@define(eq=False)
class SpanBackend(Backend):
    """The OTLP receiver of ``hypervisor-otel``; spans are compared by their ids.

    Attributes:
        settings: More for the plugin's table.
    """

    settings: Mapping[str, Any] = field(factory=dict)

    def start(self) -> None:
        """Start the receiver, made here where there is none yet."""
        if self.receiver is None:
            # By name: the core imports no plugin, and this needs one only where it is installed.
            self.receiver = import_module("hypervisor_otel.receiver").OTLPReceiver()
        super().start()

    def table(self) -> Mapping[str, Any]:
        """Send to the receiver."""
        return {"endpoint": self._started().endpoint, **self.settings}

    def received(self, emitted: Emitted, plugin: Any) -> Received:  # noqa: ARG002 - the base's
        """Compare the ids of spans, of their traces and parents."""
        receiver = self._started()
        receiver.wait_for(len(emitted.spans), timeout=ARRIVAL_SECONDS)
        arrived = list(receiver.spans)
        how = f"receiver inside this command decoded {len(arrived)}"
        return compare_spans(emitted, arrived, how)

    def _started(self) -> Any:
        if self.receiver is None:
            raise RuntimeError("the backend is not started")
        return self.receiver


@define(eq=False)
class StatsDBackend(Backend):
    """A UDP receiver; events are compared by type and count, durations by their number."""

    receiver: StatsDReceiver = field(factory=StatsDReceiver)

    def table(self) -> Mapping[str, Any]:
        """Send to the receiver, with labels as tags."""
        return {"host": "127.0.0.1", "port": self.receiver.port, "tags": "dogstatsd"}

    def received(self, emitted: Emitted, plugin: Any) -> Received:  # noqa: ARG002 - the base's
        """Compare the counter of all events, and the number of durations."""
        receiver, durations = self.receiver, emitted.durations
        receiver.wait_for(EVENTS, emitted.types.total(), durations, timeout=ARRIVAL_SECONDS)
        got, more = receiver.counter(EVENTS), []
        if receiver.timers != durations:
            more.append(f"durations: {durations} spans ended, received {receiver.timers}")
        if receiver.unreadable:
            more.append(f"{receiver.unreadable} lines are not in StatsD's format")
        how = (
            f"receiver inside this command decoded {got.total()},"
            f" and {receiver.timers} durations, from {receiver.datagrams} datagrams"
        )
        return compare_types(emitted, got, how, more)


@define(eq=False)
class ScrapeBackend(Backend):
    """A scrape of the plugin's own server; events are compared by type and count."""

    def table(self) -> Mapping[str, Any]:
        """Serve on any free port of loopback."""
        return {"host": "127.0.0.1", "port": 0}

    def received(self, emitted: Emitted, plugin: Any) -> Received:
        """Scrape once, and compare the counter of all events."""
        got = self.scrape(plugin.url)
        return compare_types(emitted, got, f"scraped once inside this command: {got.total()}")

    def scrape(self, url: str) -> Counter[str]:
        """Give how many events of each type the metrics at *url* show."""
        return scrape(url, EVENTS)


def embedded_backends(upload_file: str | None = None) -> dict[str, Backend]:
    """Give a backend for each of our own plugins, not started.

    Args:
        upload_file: Where the jaeger plugin is to write a file for Jaeger's upload.
    """
    jaeger = {} if upload_file is None else {"upload_file": upload_file}
    return {
        "prometheus": ScrapeBackend(),
        "otel": SpanBackend(),
        "statsd": StatsDBackend(),
        "jaeger": SpanBackend(settings=jaeger),
    }
