"""Work that fails, and what a recorder has written of it into a bus."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.recorder.kinds import KINDS, KindName


class WorkError(Exception):
    """What the work of a test raises."""


def fail_after_one_step(
    recorder: Recorder, undo: Callable[[], object], *, asynchronous: bool = False
) -> None:
    """Have a saga fail after a step that *undo* undoes; it is entered by ``async with`` or not."""

    async def main() -> None:
        async with recorder.saga("release", compensate=True) as saga:
            async with saga.step("one", undo=undo):
                pass
            raise WorkError

    with pytest.raises(WorkError):
        if asynchronous:
            asyncio.run(main())
        with recorder.saga("release", compensate=True) as saga:
            with saga.step("one", undo=undo):
                pass
            raise WorkError


def only(bus: HypervisorEventBus, event_type: EventType) -> HypervisorEvent:
    """Give the only event of a type."""
    (event,) = bus.query_by_type(event_type)
    return event


def trace_of(event: HypervisorEvent) -> CausalTraceId:
    """Give the causal id of *event*, which has one."""
    assert event.causal_trace_id is not None
    return CausalTraceId.from_string(event.causal_trace_id)


def ending(bus: HypervisorEventBus) -> HypervisorEvent:
    """Give the event with which the only saga ended."""
    ends = {EventType.SAGA_COMPLETED, EventType.SAGA_ESCALATED}
    (event,) = [event for event in bus.all_events if event.event_type in ends]
    return event


def compensations(bus: HypervisorEventBus) -> list[tuple[str, str]]:
    """Give what was undone, and how that ended; each undo that began has ended."""
    events = bus.query_by_type(EventType.SAGA_COMPENSATING)
    started = [event.payload["step_id"] for event in events if event.payload["phase"] == "started"]
    ended = [event for event in events if event.payload["phase"] != "started"]
    assert sorted(started) == sorted(event.payload["step_id"] for event in ended)
    return [(event.payload["compensates_step_id"], event.payload["phase"]) for event in ended]


def step_ends(bus: HypervisorEventBus) -> list[str]:
    """Give how steps ended; each that was started has ended once."""
    found = [
        event.event_type.value.removeprefix("saga.step_")
        for event in bus.all_events
        if event.event_type in (EventType.SAGA_STEP_COMMITTED, EventType.SAGA_STEP_FAILED)
    ]
    assert len(found) == len(bus.query_by_type(EventType.SAGA_STEP_STARTED))
    return found


NAMES: dict[KindName, dict[str, Any]] = {
    "session": {},
    "run": {"name": "release", "kind": "graph"},
    "agent": {"agent_did": "did:a", "name": "a"},
    "tool": {"tool_name": "search"},
    "model": {"model": "m-1", "operation": "chat"},
    "saga": {"name": "release"},
    "fan_out": {"saga_id": "g", "policy": "all", "branch_count": 2},
    "step": {"step_action": "compile", "saga_id": "g"},
    "compensation": {"step_action": "undo", "saga_id": "g"},
}


def starts(bus: HypervisorEventBus) -> list[HypervisorEvent]:
    """Give the events that begin work of some kind."""
    kinds = {kind.begins for kind in KINDS.values()}
    found = [event for event in bus.all_events if event.event_type in kinds]
    return [event for event in found if event.payload.get("phase", "started") == "started"]


def ends(bus: HypervisorEventBus) -> list[HypervisorEvent]:
    """Give the events that end it."""
    kinds = {kind.ends for kind in KINDS.values()} | {kind.fails for kind in KINDS.values()}
    found = [event for event in bus.all_events if event.event_type in kinds]
    return [event for event in found if event.payload.get("phase") != "started"]


def in_threads(work: Callable[[int], object], count: int) -> None:
    """Call *work* with each number below *count* in a thread of its own; raise what it raises."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))
