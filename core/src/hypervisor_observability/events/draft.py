"""An event while it is being made."""

from operator import attrgetter
from typing import Any

from .event_types import EventType

FIELDS = (
    "event_id",
    "event_type",
    "timestamp",
    "session_id",
    "agent_did",
    "causal_trace_id",
    "parent_event_id",
    "payload",
)
"""The fields of an event, in the order in which its constructor takes them."""

fields_of = attrgetter(*FIELDS)
"""The values of ``FIELDS``: of an event, or of any object with these attributes."""


class Draft:
    """An event being filled in: the slots of the event, but open.

    Assigning eight fields of a frozen class through ``object.__setattr__`` costs more than
    all the rest. So the constructor fills an instance of this class and then turns it into
    the event by assigning its class, which the interpreter allows between classes of the
    same layout, and does fastest between a class and a subclass that adds no slot.
    """

    __slots__ = FIELDS

    event_id: Any  # these three hold what LazySlot turns into the event's values
    timestamp: Any
    payload: Any
    event_type: EventType
    session_id: str | None
    agent_did: str | None
    causal_trace_id: str | None
    parent_event_id: str | None
