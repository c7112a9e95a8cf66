"""Each event type of ours is read as spans and shown in trees, unless it is said that it is not."""

from hypervisor_observability import EventType
from hypervisor_observability.events import event_types
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.point_events import POINT_EVENTS
from hypervisor_observability.tree import outline

OURS = {*EventType, *(one for one in vars(event_types).values() if isinstance(one, EventType))}

NOT_IN_TREES = {
    # A tree shows who caused what, and what went wrong: sessions hold no cause.
    *(EventType.SESSION_CREATED, EventType.SESSION_ACTIVATED),
    *(EventType.SESSION_TERMINATED, EventType.SESSION_ARCHIVED),
    # The ends of what it shows, found with their beginnings.
    *(EventType.RING_DEMOTED, EventType.RING_ELEVATION_EXPIRED, EventType.QUARANTINE_RELEASED),
    # What went well, or is a figure.
    *(EventType.VFS_WRITE, EventType.VFS_DELETE, EventType.VFS_SNAPSHOT, EventType.VFS_RESTORE),
    *(EventType.VOUCH_CREATED, EventType.VOUCH_RELEASED, EventType.FAULT_ATTRIBUTED),
    *(EventType.AUDIT_DELTA_CAPTURED, EventType.AUDIT_COMMITTED, EventType.AUDIT_GC_COLLECTED),
    *(EventType.IDENTITY_VERIFIED, EventType.BEHAVIOR_DRIFT, EventType.HISTORY_VERIFIED),
    *(EventType.SAGA_CHECKPOINT_SAVED, event_types.USAGE_RECORDED),
}


def test_every_type_begins_or_ends_a_span_or_is_an_event_of_one() -> None:
    read = {EventType.of(one) for one in SpanAssembler()._handlers} | POINT_EVENTS

    assert len(OURS) >= 50
    assert OURS - read == set()


def test_every_type_is_shown_in_trees_or_said_not_to_be() -> None:
    assert OURS - set(outline._READERS) == NOT_IN_TREES
