"""What records an event in the place of the running code."""

from typing import Protocol

from ...events.event import HypervisorEvent
from ...events.event_types import EventType


class Record(Protocol):
    """``Recorder.record``: leaves out what is None, and never raises."""

    def __call__(self, event_type: EventType, /, **payload: object) -> HypervisorEvent | None:
        """Record an event; None: it could not be."""
        ...
