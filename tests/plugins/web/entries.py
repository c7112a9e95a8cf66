"""Entries for tests of what the page keeps of events."""

from typing import Any

from hypothesis import strategies as some

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.stores import Entry

BEGUN = 1_700_000_000.0
"""When the first of them happened, in seconds since the epoch."""

TEXTS = some.text(some.characters(codec=None), max_size=20)
SCALARS = some.none() | some.booleans() | some.integers() | some.floats() | TEXTS
VALUES = some.recursive(
    SCALARS,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.tuples(inner)
        | some.dictionaries(SCALARS, inner, max_size=4)
        | some.frozensets(SCALARS, max_size=3)
    ),
    max_leaves=10,
)
IDS = some.none() | TEXTS


def entry(number: int, event_type: EventType = EventType.SESSION_CREATED, **fields: Any) -> Entry:
    """Give the entry with this number; each happens a second after the one before."""
    fields = {"timestamp": BEGUN + number, "payload": {"number": number}, **fields}
    return Entry("run", number, HypervisorEvent(event_type=event_type, **fields))


def entries(count: int, **fields: Any) -> list[Entry]:
    """Give the first so many."""
    return [entry(number, **fields) for number in range(count)]
