"""What the source adds to a call: plain and watched calls in turns, in one run.

``python -m tests.sources.agent_hypervisor.cost`` in the environment prints the table of the page.
"""

from collections.abc import Callable, Iterator
from itertools import count
from statistics import median
from time import perf_counter_ns

from attrs import frozen
from hypervisor.audit.delta import DeltaEngine
from hypervisor.models import ActionDescriptor, ExecutionRing, SessionConfig
from hypervisor.rings.elevation import RingElevationManager
from hypervisor.rings.enforcer import RingEnforcer
from hypervisor.saga.orchestrator import SagaOrchestrator
from hypervisor.saga.state_machine import StepState
from hypervisor.session import SharedSessionObject
from hypervisor.session.sso import SessionVFS
from hypervisor.verification.history import TransactionHistoryVerifier

from hypervisor.observability import HypervisorEvent, HypervisorEventBus
from tests.sources.governed import governed

ROUNDS, CALLS = 8, 250
"""Turns, and calls in each of them."""

A, RING = "did:mesh:a", ExecutionRing.RING_2_STANDARD


@frozen
class Cost:
    """Medians of a call, in microseconds.

    Attributes:
        name: Of the method.
        plain: Without the source.
        watched: With it.
    """

    name: str
    plain: float
    watched: float

    @property
    def added(self) -> float:
        """What the source adds."""
        return self.watched - self.plain


def _calls() -> dict[str, Callable[[], object]]:
    numbers = count()
    sso = SharedSessionObject(SessionConfig(max_participants=1000), "did:mesh:admin", "s-1")
    sso.begin_handshake()
    vfs, engine, verifier = SessionVFS("s-1"), DeltaEngine("s-1"), TransactionHistoryVerifier()
    made, enforcer, theirs = SagaOrchestrator(), RingEnforcer(), HypervisorEventBus()
    action = ActionDescriptor("act", "act", "/do")
    saga = made.create_saga("s-9")
    step = made.add_step(saga.saga_id, "book", A, "/book")
    moves = iter(_turns())

    def elevate() -> None:
        manager = RingElevationManager()
        manager.request_elevation(A, "s-1", ExecutionRing.RING_3_SANDBOX, RING, trust_score=1.0)

    return {
        "SessionVFS.write": lambda: vfs.write("x", "1", A),
        "SessionVFS.read": lambda: vfs.read("x", A),
        "RingEnforcer.check": lambda: enforcer.check(RING, action, 0.9),
        "RingElevationManager.request_elevation": elevate,
        "DeltaEngine.capture": lambda: engine.capture(A, []),
        "TransactionHistoryVerifier.verify": lambda: verifier.verify(f"did:mesh:{next(numbers)}"),
        "SagaOrchestrator.create_saga": lambda: made.create_saga("s-9"),
        "SagaStep.transition": lambda: _move(step, next(moves)),
        "HypervisorEventBus.emit": lambda: theirs.emit(HypervisorEvent()),
    }


def _turns() -> Iterator[StepState]:
    while True:
        yield StepState.EXECUTING
        yield StepState.COMMITTED


def _move(step: object, state: StepState) -> None:
    if state is StepState.EXECUTING:
        step.state = StepState.PENDING  # type: ignore[attr-defined]  # to have it go round
    step.transition(state)  # type: ignore[attr-defined]  # their class is Any to the checker


def _timed(call: Callable[[], object]) -> list[int]:
    found = []
    for _ in range(CALLS):
        began = perf_counter_ns()
        call()
        found.append(perf_counter_ns() - began)
    return found


def costs() -> list[Cost]:
    """Measure what each of some methods costs, with the source and without it."""
    calls = _calls()
    plain: dict[str, list[int]] = {name: [] for name in calls}
    watched: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            plain[name] += _timed(call)
        with governed():
            for name, call in calls.items():
                call()
                watched[name] += _timed(call)
            calls["SagaStep.transition"]()  # as often as before, so that the turns agree
    return [Cost(name, median(plain[name]) / 1e3, median(watched[name]) / 1e3) for name in calls]


if __name__ == "__main__":
    for cost in costs():
        print(f"| `{cost.name}` | {cost.plain:.1f} | {cost.added:.1f} |")
