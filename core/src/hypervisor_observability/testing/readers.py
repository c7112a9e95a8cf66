"""Plugins that read, for tests: one that takes, one whose backend is away, one of spans."""

import threading
from collections.abc import Sequence

from ..errors import RetryLater
from ..events.event import HypervisorEvent
from ..hookspecs import hookimpl
from ..spans.record import FinishedSpan

_WIDE_SECONDS = 60.0


class TakingReader:
    """Takes every event.

    Args:
        held: Whether it takes none before ``release`` is called.

    Attributes:
        events: What it was handed.
    """

    name = "reader"

    def __init__(self, *, held: bool = False) -> None:
        self.events: list[HypervisorEvent] = []
        self._released = threading.Event()
        if not held:
            self.release()

    def release(self) -> None:
        """Take what comes, from now on."""
        self._released.set()

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Take them."""
        self._released.wait(_WIDE_SECONDS)
        self.events += events


class AwayReader:
    """A reader of the same name, whose backend never answers."""

    name = "reader"

    @hookimpl
    def export_events(self) -> None:
        """Ask for them later."""
        raise RetryLater("away", after=1_000)


class SpanReader:
    """Takes every span.

    Attributes:
        spans: What it was handed.
    """

    name = "spans"

    def __init__(self) -> None:
        self.spans: list[FinishedSpan] = []

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Take them."""
        self.spans += spans
