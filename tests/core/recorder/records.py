"""Work that fails, and what a recorder has written of it into a bus."""

import asyncio
from collections.abc import Callable

import pytest

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)


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
