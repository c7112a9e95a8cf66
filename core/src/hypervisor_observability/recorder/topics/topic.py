"""What every topic is made of: it records events in the place of the running code."""

from typing import Protocol

from attrs import frozen

from ...events.event import HypervisorEvent
from ...events.event_types import EventType


class Record(Protocol):
    """Records an event whose payload is what a method was called with; never raises."""

    def __call__(
        self, event_type: EventType, arguments: dict[str, object], /
    ) -> HypervisorEvent | None:
        """Record an event; None: it could not be.

        Args:
            event_type: Of the event.
            arguments: The method's ``locals()``: its arguments, and what it adds to them. What
                is None is left out.
        """
        ...


@frozen(eq=False)
class Topic:
    """Records events of one kind, a method for each of their types."""

    _record: Record
