"""A wrong argument to the recorder never replaces the exception of the block."""

import asyncio
import enum
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.standing import standing
from hypervisor_observability.events.event_types import (
    MODEL_STARTED,
    RUN_STARTED,
    TOOL_STARTED,
    EventType,
)
from hypervisor_observability.facts.payload_facts import is_allowed
from hypervisor_observability.metrics.governance import GovernanceMetrics
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.opened import Opened
from hypervisor_observability.recorder.scope import Scope
from hypervisor_observability.tree import render_tree

Make = Callable[[Recorder, Any], AbstractContextManager[Any]]


class BlockError(Exception):
    pass


class Hostile:
    """Every question about it raises."""

    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __repr__ = __str__
    __hash__ = None  # type: ignore[assignment]  # on purpose

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("hostile")

    __lt__ = __le__ = __gt__ = __ge__ = __eq__

    def __bool__(self) -> bool:
        raise RuntimeError("hostile")

    def __format__(self, _: str) -> str:
        raise RuntimeError("hostile")


def within_saga(make: Callable[[Any, Any], AbstractContextManager[Any]]) -> Make:
    @contextmanager
    def made(recorder: Recorder, value: Any) -> Iterator[None]:
        with recorder.saga("around") as saga, make(saga, value):
            yield

    return made


MAKES: dict[str, Make] = {
    "session id": lambda r, v: r.session(v),
    "session payload": lambda r, v: r.session(extra=v),
    "agent did": lambda r, v: r.agent(v),
    "agent session": lambda r, v: r.agent("did:a", session_id=v),
    "agent ring": lambda r, v: r.agent("did:a", ring=v, name=v),
    "agent attributes": lambda r, v: r.agent("did:a", attributes=v),
    "session attributes": lambda r, v: r.session(attributes=v),
    "run name": lambda r, v: r.run(v, kind=v),
    "run id": lambda r, v: r.run("release", run_id=v, attributes={"odd": v}),
    "tool name": lambda r, v: r.tool(v),
    "tool call": lambda r, v: r.tool("search", call_id=v, attempt=v, arguments=v, attributes=v),
    "model": lambda r, v: r.model(v),
    "model call": lambda r, v: r.model("m", provider=v, operation=v, call_id=v, stream=v),
    "elevation rings": lambda r, v: r.elevation(v, v),
    "elevation time": lambda r, v: r.elevation(3, 1, ttl_seconds=v),
    "elevation reason": lambda r, v: r.elevation(3, 1, reason=v),
    "saga name": lambda r, v: r.saga(v),
    "saga id": lambda r, v: r.saga("s", saga_id=v),
    "saga count": lambda r, v: r.saga("s", step_count=v),
    "compensate": lambda r, v: r.saga("s", compensate=v),
    "step action": lambda r, v: r.step(v),
    "step undo": lambda r, v: r.step("a", undo=v),
    "step id": within_saga(lambda s, v: s.step("a", step_id=v, undo=list)),
    "step attempt": within_saga(lambda s, v: s.step("a", attempt=v)),
    "step retries": within_saga(lambda s, v: s.step("a", max_retries=v)),
    "step both": within_saga(lambda s, v: s.step("a", attempt=v, max_retries=v)),
    "fan-out policy": within_saga(lambda s, v: s.fan_out(v)),
    "fan-out count": within_saga(lambda s, v: s.fan_out("majority", branch_count=v)),
    "compensation": within_saga(lambda s, v: s.compensate(v)),
    "compensation id": within_saga(lambda s, v: s.compensate("a", step_id=v)),
    "attributes of parts": within_saga(lambda s, v: s.step("a", attributes=v)),
    "compensated step": within_saga(lambda s, v: s.compensate("a", compensates_step_id=v)),
}
VALUES = [Hostile(), [], {}, b"\xff", "3", 1.5, float("nan"), -1, object(), {1, 2}]
VALUES += ["x" * 100_000, 10**5_000]


BEGIN = {
    EventType.SESSION_CREATED,
    EventType.SESSION_JOINED,
    EventType.RING_ELEVATED,
    EventType.SAGA_CREATED,
    EventType.SAGA_STEP_STARTED,
    EventType.SAGA_FANOUT_STARTED,
    RUN_STARTED,
    TOOL_STARTED,
    MODEL_STARTED,
}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", MAKES)
def test_wrong_argument_never_replaces_the_exception_of_the_block(
    caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    before = standing()

    with caplog.at_level(logging.WARNING):
        with pytest.raises(BlockError), MAKES[name](recorder, value):
            raise BlockError
        with MAKES[name](recorder, value):
            pass

    assert "was not recorded" not in caplog.text
    assert standing() is before
    compensations = bus.query_by_type(EventType.SAGA_COMPENSATING)
    opened = [event for event in bus.all_events if event.event_type in BEGIN]
    opened += [event for event in compensations if event.payload["phase"] == "started"]
    assigned = bus.query_by_type(EventType.RING_ASSIGNED)
    assert len(bus.all_events) - len(assigned) == 2 * len(opened)
    for event in opened:
        trace_id = str(event.causal_trace_id).partition("/")[0]
        assert event.causal_trace_id is None or render_tree(bus.tree(trace_id))


@pytest.mark.parametrize("value", VALUES[:6], ids=lambda value: type(value).__name__)
def test_decision_of_another_kind_is_recorded(bus: HypervisorEventBus, value: Any) -> None:
    Recorder(bus).decision(value, tool_name=value, evaluation_ms=value, rate_limited=value)
    GovernanceMetrics(bus).record_decision(value, "did:a", "shell", value, value)

    assert len(bus.all_events) == 2
    if not isinstance(value, Hostile):
        said = value if isinstance(value, str) else bool(value)
        assert [event.payload["allowed"] for event in bus.all_events] == [said] * 2


@pytest.mark.parametrize(
    ("said", "allowed"), [("true", True), ("TRUE", True), ("false", False), ("no", False)]
)
def test_text_says_of_a_decision_what_readers_find_in_it(said: Any, allowed: bool) -> None:
    bus = HypervisorEventBus()
    undone: list[str] = []
    Recorder(bus).decision(said, tool_name="shell")
    GovernanceMetrics(bus).record_decision(said, "did:a", "shell", 1.0)
    with (
        pytest.raises(BlockError),
        Recorder(bus).saga("s", compensate=said) as saga,
    ):
        with saga.step("a", undo=lambda: undone.append("a")):
            pass
        raise BlockError

    decisions = bus.query_by_type("governance.decision")
    assert [is_allowed(event) for event in decisions] == [allowed] * 2
    assert bool(undone) == allowed


class Three(enum.Enum):
    THREE = 3


@pytest.mark.parametrize(
    "three", [3, numpy.int64(3), Decimal(3), Fraction(3), Three.THREE, numpy.array(3)], ids=repr
)
def test_number_of_another_type_decides_as_it_is_recorded(three: Any) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.saga("s") as saga, saga.fan_out(branch_count=three) as fan_out:
        with fan_out.branch("a"):
            pass
        with pytest.raises(BlockError), saga.step("b", attempt=three, max_retries=three):
            raise BlockError

    (resolved,) = bus.query_by_type(EventType.SAGA_FANOUT_RESOLVED)
    (failed,) = bus.query_by_type(EventType.SAGA_STEP_FAILED)
    assert bus.query_by_type(EventType.SAGA_FANOUT_STARTED)[0].payload["branch_count"] == 3
    assert resolved.payload["policy_satisfied"] is False
    assert failed.payload["will_retry"] is True


@pytest.mark.parametrize(
    "time", [0, timedelta(0), numpy.timedelta64(0, "s"), Decimal(0), Fraction(0)], ids=repr
)
def test_time_of_another_type_is_over_as_it_is_recorded(bus: HypervisorEventBus, time: Any) -> None:
    with Recorder(bus).elevation(3, 1, ttl_seconds=time) as elevation:
        assert elevation.expired
    elevated, ended = bus.all_events
    assert elevated.payload["ttl_seconds"] == 0
    assert ended.event_type == EventType.RING_ELEVATION_EXPIRED


@pytest.mark.parametrize("caller", [{"traceparent": "x"}, "a/b", 5])
def test_caller_that_nobody_extracted_is_refused_before_the_block(caller: Any) -> None:
    recorder = Recorder(HypervisorEventBus())

    for scope in (recorder.agent, recorder.saga):
        with pytest.raises(TypeError, match=r"^caller: expected what extract\(\) gives, got "):
            scope("x", caller=caller)


@pytest.mark.parametrize("kind", ["with", "async with"])
def test_fault_of_ending_a_scope_is_logged_and_replaces_nothing(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def open_broken() -> Opened[None]:
        def close(_: BaseException | None) -> None:
            raise RuntimeError("a fault of ours")

        async def close_async(error: BaseException | None) -> None:
            close(error)

        writer = recorder._writer
        return Opened(None, standing(), writer, close, close_async)

    async def main() -> None:
        async with Scope(open_broken):
            raise BlockError

    with pytest.raises(BlockError):
        if kind == "with":
            with Scope(open_broken):
                raise BlockError
        asyncio.run(main())
    assert "the end of a scope was not recorded" in caplog.text


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_call_within_a_scope_takes_any_argument(value: Any) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)

    with recorder.elevation(3, 1) as elevation, recorder.saga("s") as saga:
        saga.checkpoint(step_id=value, checkpoint_id=value, goal_hash=value)
        saga.handoff(value, from_agent=value, to_agent=value, status=value)
        elevation.expire(value)

    assert len(bus.query_by_type(EventType.RING_ELEVATION_EXPIRED)) == 1
    assert len(bus.query_by_type(EventType.SAGA_CHECKPOINT_SAVED)) == 1


def test_result_of_any_type_is_recorded(bus: HypervisorEventBus) -> None:
    for value in VALUES:
        with Recorder(bus).step("a") as step:
            step.result = value  # type: ignore[assignment]  # on purpose

    assert len(bus.query_by_type(EventType.SAGA_STEP_COMMITTED)) == len(VALUES)
