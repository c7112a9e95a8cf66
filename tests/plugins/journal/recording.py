"""A plugin that keeps what it is handed."""

from collections.abc import Sequence

from hypervisor_observability import HypervisorEvent, hookimpl
from hypervisor_observability.spans.record import FinishedSpan


class Recording:
    """Takes everything."""

    name = "recording"

    def __init__(self) -> None:
        self.events: list[HypervisorEvent] = []
        self.spans: list[FinishedSpan] = []

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.events += events

    @hookimpl
    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans += spans
