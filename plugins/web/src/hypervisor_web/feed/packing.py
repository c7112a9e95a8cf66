"""Entries in little memory: many in one compressed string, from which each can be had again."""

import marshal
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from hypervisor_observability.events.event import (
    HypervisorEvent,
    at_nanoseconds,
    is_erased,
    raw_payload,
)
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.events.json_values import thaw
from hypervisor_observability.stores import Entry

_LEVEL = 1  # zlib's fastest: a fifth of the size, at a few microseconds an event

Packed = tuple[Any, ...]
"""The fields of one entry, of plain types alone."""


def pack(entries: Iterable[Entry]) -> bytes:
    """Give *entries* as bytes that ``unpack`` reads: in this process only, as ``marshal`` is."""
    return zlib.compress(marshal.dumps([_fields(entry) for entry in entries]), _LEVEL)


def unpack(packed: bytes) -> Sequence[Packed]:
    """Give what ``entry_of`` makes the entries of, in their order."""
    found: Sequence[Packed] = marshal.loads(zlib.decompress(packed))  # noqa: S302 - made by pack
    return found


def entry_of(packed: Packed) -> Entry:
    """Make an entry again, equal to the one that was packed in all that it says."""
    run, sequence, time_ns, event_id, event_type, session, agent, trace, parent, payload = packed
    event = HypervisorEvent(
        event_id,
        EventType.of(event_type),
        None,
        session,
        agent,
        trace,
        parent,
        erased_payload() if payload is None else payload,
    )
    return Entry(run, sequence, at_nanoseconds(event, time_ns))


def _fields(entry: Entry) -> Packed:
    event = entry.event
    payload = raw_payload(event)
    if type(payload) is not dict:
        payload = None if is_erased(event) else thaw(payload)
    return (
        entry.run,
        entry.sequence,
        event.timestamp_ns,
        event.event_id,
        event.event_type.value,
        event.session_id,
        event.agent_did,
        event.causal_trace_id,
        event.parent_event_id,
        payload,
    )
