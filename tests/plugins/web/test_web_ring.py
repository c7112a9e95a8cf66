"""The newest events, bounded, and each as it came."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event import at_nanoseconds, is_erased, with_payload
from hypervisor_observability.events.frozen_containers import erased_payload
from hypervisor_observability.stores import Entry
from hypervisor_web.feed.packing import entry_of, pack, unpack
from hypervisor_web.feed.ring import Ring
from tests.plugins.web.entries import IDS, SCALARS, TEXTS, VALUES, entries, entry

MIB = 1024 * 1024


def kept_of(ring: Ring) -> list[int]:
    return [position for position, _ in ring.read(0, ring.next)]


@given(
    payload=some.dictionaries(SCALARS, VALUES, max_size=5),
    ids=some.tuples(IDS, IDS, IDS, IDS),
    time_ns=some.integers(0, 4 * 10**18),
    event_type=some.sampled_from(list(EventType)) | TEXTS,
)
def test_packed_event_says_what_it_said(
    payload: Any, ids: Any, time_ns: int, event_type: Any
) -> None:
    event = HypervisorEvent(None, event_type, 0.0, ids[0], ids[1], ids[2], ids[3], payload)
    before = Entry("run", 7, at_nanoseconds(event, time_ns))

    (packed,) = unpack(pack([before]))
    after = entry_of(packed)

    assert (after.run, after.sequence) == ("run", 7)
    assert repr(after.event.to_dict()) == repr(before.event.to_dict())  # nan is not nan
    assert after.event.timestamp_ns == time_ns
    assert after.event.event_type == before.event.event_type


def test_erased_event_stays_erased_when_it_is_packed() -> None:
    erased = with_payload(HypervisorEvent(payload=erased_payload()), {})
    (packed,) = unpack(pack([Entry("run", 0, erased)]))

    assert is_erased(erased)
    assert is_erased(entry_of(packed).event)


@given(most=some.integers(1, 1_200), count=some.integers(0, 2_000))
def test_ring_keeps_the_newest_and_each_keeps_its_position(most: int, count: int) -> None:
    ring = Ring(most, 64 * MIB)

    positions = [ring.append(one) for one in entries(count)]

    assert positions == list(range(count))
    assert (ring.oldest, ring.next) == (max(0, count - most), count)
    assert kept_of(ring) == positions[-most:]
    assert all(one.sequence == position for position, one in ring.read(0, count))


@given(
    count=some.integers(1, 1_500),
    wanted=some.lists(some.integers(0, 1_600), unique=True).map(sorted),
)
def test_any_events_can_be_picked_from_the_ring(count: int, wanted: list[int]) -> None:
    ring = Ring(1_000, 64 * MIB)
    for one in entries(count):
        ring.append(one)

    picked = list(ring.pick(wanted))

    assert [position for position, _ in picked] == [
        position for position in wanted if ring.oldest <= position < ring.next
    ]
    assert all(one.sequence == position for position, one in picked)


def test_ring_is_bounded_by_bytes_too() -> None:
    ring = Ring(100_000, MIB)
    for number in range(400):
        ring.append(entry(number, payload={"text": f"{number}" * 10_000}))

    assert ring.held_bytes < 3 * MIB
    assert ring.oldest > 0
    assert kept_of(ring) == list(range(ring.oldest, 400))


def test_hundred_thousand_events_take_little_memory() -> None:
    ring = Ring(20_000, 64 * MIB)
    for one in entries(20_000, agent_did="did:mesh:payer", session_id="s-1"):
        ring.append(one)

    assert ring.held_bytes / 20_000 < 200


@pytest.mark.parametrize("position", [0, 99, 1_000])
def test_event_that_is_not_there_is_none(position: int) -> None:
    ring = Ring(100, 64 * MIB)
    for one in entries(200):
        ring.append(one)

    assert ring.get(position) is None
