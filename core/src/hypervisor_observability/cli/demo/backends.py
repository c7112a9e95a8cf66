"""The backends inside the demonstration: where each plugin sends, and what arrives there."""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from importlib import import_module
from typing import Any, ClassVar
from urllib.parse import urlsplit

from attrs import define, field

from ...metrics.activity import EVENTS
from .comparison import Emitted, Received, compare_spans, compare_types

ARRIVAL_SECONDS = 2.0
"""How long to wait until what was sent has arrived, within one process."""

SCRAPE_SECONDS = 5.0
"""Longest time that a scrape may take."""

# A sample of Prometheus's text format 0.0.4 with a single label; labels may be escaped.
_SAMPLE = re.compile(r'(\w+)\{\w+="((?:[^"\\]|\\.)*)"\} (\S+)')


@define(eq=False)
class Backend(ABC):
    """A backend inside the command.

    Attributes:
        receiver: What listens; None: that of the plugin, made by ``start``, if it has one.
        comes_with: The module with that, and its class.
    """

    receiver: Any = None
    comes_with: ClassVar[tuple[str, str] | None] = None

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: There is no port.
            ImportError: The receiver is missing.
        """
        if self.receiver is None and self.comes_with is not None:
            module, name = self.comes_with
            # By name: the core imports no plugin, and this needs one only where it is installed.
            self.receiver = getattr(import_module(module), name)()
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

    def _started(self) -> Any:
        if self.receiver is None:
            raise RuntimeError("the backend is not started")
        return self.receiver


@define(eq=False)
class SpanBackend(Backend):
    """The OTLP receiver of ``hypervisor-otel``; spans are compared by their ids.

    Attributes:
        settings: More for the plugin's table.
    """

    settings: Mapping[str, Any] = field(factory=dict)
    comes_with = ("hypervisor_otel.receiver", "OTLPReceiver")

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


@define(eq=False)
class StatsDBackend(Backend):
    """A UDP receiver; events are compared by type and count, durations by their number."""

    comes_with = ("hypervisor_statsd.receiver", "StatsDReceiver")

    def table(self) -> Mapping[str, Any]:
        """Send to the receiver, with labels as tags."""
        return {"host": "127.0.0.1", "port": self._started().port, "tags": "dogstatsd"}

    def received(self, emitted: Emitted, plugin: Any) -> Received:  # noqa: ARG002 - the base's
        """Compare the counter of all events, and the number of durations."""
        receiver, durations = self._started(), emitted.durations
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


def scrape(url: str, name: str) -> Counter[str]:
    """Ask *url* once for metrics; give a counter's totals by the value of its only label.

    Raises:
        OSError: There is no answer, or one that is no success.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=SCRAPE_SECONDS)
    try:
        connection.request("GET", parts.path, headers={"Accept": "text/plain"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except HTTPException as error:
        raise OSError(f"{url}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{url}: {answer.status} {answer.reason}")
    totals: Counter[str] = Counter()
    for match in _SAMPLE.finditer(text):
        if match[1] == name:
            totals[match[2]] += round(float(match[3]))
    return totals
