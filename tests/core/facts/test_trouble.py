"""Which events say that something went wrong."""

from typing import Any

import pytest

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    RUN_FINISHED,
    TOOL_FINISHED,
)
from hypervisor_observability.facts.trouble import is_trouble


@pytest.mark.parametrize(
    ("event_type", "bad", "good"),
    [
        (RUN_FINISHED, {"status": "error"}, {"status": "ok"}),
        (AGENT_FINISHED, {"status": "error"}, {"status": "cancelled"}),
        (TOOL_FINISHED, {"status": "blocked"}, {"status": "ok"}),
        (MODEL_FINISHED, {"status": "error"}, {}),
        (GOVERNANCE_DECISION, {"allowed": False}, {"allowed": True}),
        (EventType.SAGA_COMPLETED, {"outcome": "failed"}, {"outcome": "committed"}),
        (EventType.SAGA_COMPENSATING, {"phase": "failed"}, {"phase": "succeeded"}),
        (EventType.SAGA_COMPENSATING, {"phase": "failed"}, {"phase": "started"}),
        (EventType.SAGA_FANOUT_RESOLVED, {"policy_satisfied": False}, {}),
    ],
)
def test_payload_says_whether_it_went_wrong(
    event_type: EventType, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    assert is_trouble(HypervisorEvent(event_type=event_type, payload=bad))
    assert not is_trouble(HypervisorEvent(event_type=event_type, payload=good))


@pytest.mark.parametrize(
    "event_type",
    [EventType.SAGA_STEP_FAILED, EventType.RING_BREACH_DETECTED, EventType.AGENT_KILLED],
)
def test_type_alone_says_that_it_went_wrong(event_type: EventType) -> None:
    assert is_trouble(HypervisorEvent(event_type=event_type))
    assert not is_trouble(HypervisorEvent(event_type=EventType.SAGA_CREATED))
