"""Whatever is called, in whatever order, gives and raises the same with the source."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from hypervisor.audit.delta import VFSChange
from hypervisor.core import Hypervisor
from hypervisor.models import (
    ActionDescriptor,
    ExecutionRing,
    ReversibilityLevel,
    SessionConfig,
)
from hypervisor.rings.breach_detector import RingBreachDetector
from hypervisor.rings.elevation import RingElevationManager
from hypervisor.rings.enforcer import ResourceType, RingEnforcer
from hypervisor.saga.fan_out import FanOutOrchestrator
from hypervisor.saga.state_machine import StepState
from hypervisor.security.kill_switch import KillReason, KillSwitch
from hypervisor.security.rate_limiter import AgentRateLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_observability import EventType as OurType
from tests.sources.governed import governed

DIDS = st.sampled_from(["did:mesh:a", "did:mesh:b", "did:mesh:c", "not an id!", ""])
RINGS = st.sampled_from(ExecutionRing)
PATHS = st.sampled_from(["x", "/x", "y/z", ""])
SCORES = st.sampled_from([0.0, 0.5, 0.7, 0.99, 1.5])
NUMBERS = st.integers(0, 2)

CALLS = st.one_of(
    st.tuples(st.just("join"), DIDS, SCORES),
    st.tuples(st.just("leave"), DIDS),
    st.tuples(st.sampled_from(["activate", "terminate", "archive", "finish", "snapshot", "tick"])),
    st.tuples(st.just("ring"), DIDS, RINGS),
    st.tuples(st.just("write"), PATHS, DIDS),
    st.tuples(st.just("delete"), PATHS, DIDS),
    st.tuples(st.just("allow"), PATHS, DIDS),
    st.tuples(st.just("elevate"), DIDS, RINGS, RINGS, SCORES),
    st.tuples(st.just("saga")),
    st.tuples(st.just("step"), NUMBERS, DIDS, st.booleans(), NUMBERS),
    st.tuples(st.just("execute"), NUMBERS, NUMBERS, st.sampled_from(["well", "badly", "slowly"])),
    st.tuples(st.just("compensate"), NUMBERS, st.sampled_from(["well", "badly", "slowly"])),
    st.tuples(st.just("move"), NUMBERS, NUMBERS, st.sampled_from(StepState)),
    st.tuples(st.just("fan_out"), NUMBERS, st.sampled_from(["well", "badly"])),
    st.tuples(st.just("check"), RINGS, st.sampled_from(ResourceType)),
    st.tuples(st.just("breach"), DIDS, RINGS, RINGS),
    st.tuples(st.just("limit"), DIDS, RINGS),
    st.tuples(st.just("kill"), DIDS, st.sampled_from(KillReason)),
    st.tuples(st.just("vouch"), DIDS, DIDS),
    st.tuples(st.just("slash"), DIDS, SCORES),
    st.tuples(st.just("capture"), DIDS),
    st.tuples(st.just("odd"), st.sampled_from([(), (1,), ("x", None, object, 4, 5)])),
)


class World:
    """What the calls are made on."""

    def __init__(self) -> None:
        self.hypervisor = Hypervisor()
        self.elevations, self.enforcer = RingElevationManager(), RingEnforcer()
        self.detector = RingBreachDetector(baseline_rate=1e9)
        self.limiter = AgentRateLimiter(dict.fromkeys(ExecutionRing, (1e-9, 2.0)))
        self.switch, self.fans = KillSwitch(), FanOutOrchestrator()
        self.sagas: list[Any] = []

    async def begin(self) -> None:
        self.managed = await self.hypervisor.create_session(SessionConfig(), "did:mesh:admin")
        self.managed.saga.DEFAULT_RETRY_DELAY_SECONDS = 0
        self.sso = self.managed.sso
        self.session_id = self.sso.session_id

    def saga(self, number: int) -> Any:
        return self.sagas[number]

    async def call(self, name: str, *args: Any) -> object:
        found: Callable[..., Any] = getattr(self, f"do_{name}")
        try:
            result = found(*args)
            return await result if asyncio.iscoroutine(result) else result
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def do_join(self, did: str, score: float) -> Any:
        return self.hypervisor.join_session(self.session_id, did, sigma_raw=score)

    def do_leave(self, did: str) -> Any:
        return self.sso.leave(did)

    def do_activate(self) -> Any:
        return self.hypervisor.activate_session(self.session_id)

    def do_terminate(self) -> Any:
        return self.sso.terminate()

    def do_archive(self) -> Any:
        return self.sso.archive()

    def do_finish(self) -> Any:
        return self.hypervisor.terminate_session(self.session_id)

    def do_snapshot(self) -> Any:
        self.sso.vfs.restore_snapshot(self.sso.vfs.create_snapshot(), "did:mesh:a")

    def do_tick(self) -> Any:
        return self.elevations.tick()

    def do_ring(self, did: str, ring: ExecutionRing) -> Any:
        return self.sso.update_ring(did, ring)

    def do_write(self, path: str, did: str) -> Any:
        return self.sso.vfs.write(path, path, did)

    def do_delete(self, path: str, did: str) -> Any:
        return self.sso.vfs.delete(path, did)

    def do_allow(self, path: str, did: str) -> Any:
        return self.sso.vfs.set_permissions(path, {did}, did)

    def do_elevate(self, did: str, old: ExecutionRing, new: ExecutionRing, score: float) -> Any:
        got = self.elevations.request_elevation(did, self.session_id, old, new, trust_score=score)
        return self.elevations.revoke_elevation(got.elevation_id)

    def do_saga(self) -> None:
        self.sagas.append(self.managed.saga.create_saga(self.session_id))

    def do_step(self, saga: int, did: str, has_undo: bool, retries: int) -> Any:
        undo = "/undo" if has_undo else None
        saga_id = self.saga(saga).saga_id
        return self.managed.saga.add_step(saga_id, "act", did, "/do", undo, 1, retries)

    async def _work(self, how: str) -> str:
        if how == "badly":
            raise ValueError("badly")
        await asyncio.sleep(0 if how == "well" else 60)
        return how

    def do_execute(self, saga: int, step: int, how: str) -> Any:
        found = self.saga(saga)
        found.steps[step].timeout_seconds = 0.001 if how == "slowly" else 30
        step_id = found.steps[step].step_id
        return self.managed.saga.execute_step(found.saga_id, step_id, lambda: self._work(how))

    def do_compensate(self, saga: int, how: str) -> Any:
        for step in self.saga(saga).steps:
            step.timeout_seconds = 0.001 if how == "slowly" else 30
        saga_id = self.saga(saga).saga_id
        return self.managed.saga.compensate(saga_id, lambda _: self._work(how))

    def do_move(self, saga: int, step: int, state: StepState) -> Any:
        return self.saga(saga).steps[step].transition(state)

    def do_fan_out(self, saga: int, how: str) -> Any:
        group = self.fans.create_group(self.saga(saga).saga_id)
        for step in self.saga(saga).steps:
            self.fans.add_branch(group.group_id, step)
        works = {step.step_id: lambda: self._work(how) for step in self.saga(saga).steps}
        return self.fans.execute(group.group_id, works)

    def do_check(self, ring: ExecutionRing, kind: ResourceType) -> Any:
        action = ActionDescriptor("act", "act", "/do", reversibility=ReversibilityLevel.FULL)
        return [self.enforcer.check(ring, action, 0.7), self.enforcer.check_resource(ring, kind)]

    def do_breach(self, did: str, ring: ExecutionRing, called: ExecutionRing) -> Any:
        return self.detector.record_call(did, self.session_id, ring, called)

    def do_limit(self, did: str, ring: ExecutionRing) -> Any:
        return self.limiter.check(did, self.session_id, ring)

    def do_kill(self, did: str, reason: KillReason) -> Any:
        return self.switch.kill(did, self.session_id, reason, [{"step_id": "step-1"}])

    def do_vouch(self, voucher: str, vouchee: str) -> Any:
        return self.hypervisor.vouching.vouch(voucher, vouchee, self.session_id, 0.9)

    def do_slash(self, did: str, score: float) -> Any:
        return self.hypervisor.slashing.slash(did, self.session_id, score, 0.5, "why", {})

    def do_capture(self, did: str) -> Any:
        self.managed.delta_engine.capture(did, [VFSChange("/x", "create")])
        return self.managed.delta_engine.verify_chain()

    def do_odd(self, args: tuple[object, ...]) -> Any:
        return self.sso.vfs.write(*args)


DRAWN = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{8,64}\b"
    r"|datetime\.datetime\([^)]*\)|\d{4}-\d\d-\d\dT[^'\" ]+"
)
"""What is drawn, or depends on the time."""


async def made(calls: list[tuple[Any, ...]]) -> list[str]:
    """Make the *calls*; give what came of each, and what is left in the end."""
    world = World()
    await world.begin()
    results = [repr(await world.call(*call)) for call in calls]
    left = [
        vars(world.sso),
        vars(world.sso.vfs),
        [saga.to_dict() for saga in world.sagas],
        world.limiter._stats,
    ]
    return [DRAWN.sub("*", text) for text in [*results, *map(repr, left)]]


@settings(max_examples=150, deadline=None)
@given(st.lists(CALLS, max_size=25))
def test_calls_give_the_same_with_the_source(calls: list[tuple[Any, ...]]) -> None:
    without = asyncio.run(made(calls))
    with governed() as bus:
        watched = asyncio.run(made(calls))

    assert watched == without
    kinds = [event.event_type.value for event in bus.all_events]
    assert kinds.count("session.created") == kinds.count("session.terminated") == 1
    assert kinds.count("session.joined") == kinds.count("agent.finished")
    assert kinds.count("saga.step_started") == (
        kinds.count("saga.step_committed") + kinds.count("saga.step_failed")
    )
    assert kinds.count("saga.fanout_started") == kinds.count("saga.fanout_resolved")
    phases = [
        event.payload.get("phase") for event in bus.query(event_type=OurType.SAGA_COMPENSATING)
    ]
    assert 2 * phases.count("started") == len(phases)
    assert kinds.count("saga.created") == (
        kinds.count("saga.completed") + kinds.count("saga.escalated")
    )
