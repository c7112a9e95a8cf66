"""In which ring an agent is, and until when."""

from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.facts.present_rings import PresentRings

AGENT = "did:a"
SECOND = 1_000_000_000


def event(kind: EventType, at_seconds: float = 0, **payload: Any) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=kind, agent_did=AGENT, timestamp=1_000.0 + at_seconds, payload=payload
    )


def rings(*events: HypervisorEvent) -> PresentRings:
    found = PresentRings()
    for one in events:
        found.take(one)
    return found


def test_elevated_agent_is_in_its_ring_until_its_time_is_over() -> None:
    found = rings(
        event(EventType.RING_ASSIGNED, ring=3),
        event(EventType.RING_ELEVATED, 1, from_ring=3, to_ring=1, ttl_seconds=60),
    )

    grant = found.grant_of(AGENT)
    assert found.by_agent == {AGENT: 1}
    assert grant is not None
    assert (grant.begun_ns, grant.until_ns) == (1_001 * SECOND, 1_061 * SECOND)


def test_killed_agent_is_in_the_ring_that_it_had_before_its_elevation() -> None:
    found = rings(
        event(EventType.RING_ASSIGNED, ring=3),
        event(EventType.RING_ELEVATED, 1, to_ring=1),
    )

    (ended,) = found.take(event(EventType.AGENT_KILLED, 2))

    assert ended.begun_ns == 1_001 * SECOND
    assert found.by_agent == {AGENT: 3}
    assert found.grant_of(AGENT) is None


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        ("2026-11-28T12:00:00+01:00", 1_795_863_600 * SECOND),
        ("2026-11-28T11:00:00", 1_795_863_600 * SECOND),  # in UTC
        ("tomorrow", None),
        (None, None),
    ],
)
def test_moment_at_which_an_elevation_expires_is_read(
    expires_at: str | None, expected: int | None
) -> None:
    found = rings(event(EventType.RING_ELEVATED, to_ring=1, expires_at=expires_at))

    grant = found.grant_of(AGENT)
    assert grant is not None
    assert grant.until_ns == expected


def test_elevation_for_ever_has_no_end() -> None:
    found = rings(event(EventType.RING_ELEVATED, to_ring=1, ttl_seconds=1e12))

    grant = found.grant_of(AGENT)
    assert grant is not None
    assert grant.until_ns is None


def test_forgotten_agent_has_no_ring() -> None:
    found = rings(event(EventType.RING_ASSIGNED, ring=3))
    found.forget(AGENT)
    found.forget("did:of-nobody")

    assert found.by_agent == {}
