"""Record a saga's step by the recorder, or by two events made and emitted by hand."""

import gc
import time

from benchmarks.cases import Measure, Measures
from hypervisor_observability import EventType, HypervisorEvent, HypervisorEventBus, Recorder


def prepare(*, recorder: bool, steps: int) -> Measure:
    """Measure seconds a ``step``: started and committed."""
    return _recorded(steps) if recorder else _by_hand(steps)


def _recorded(steps: int) -> Measure:
    def measure() -> Measures:
        recorder = Recorder(HypervisorEventBus())
        with recorder.session("s-1"), recorder.agent("did:mesh:a"), recorder.saga("x") as saga:
            gc.collect()
            start = time.process_time()
            for _ in range(steps):
                with saga.step("load", step_id="load"):
                    pass
            return {"step": (time.process_time() - start) / steps}

    return measure


def _by_hand(steps: int) -> Measure:
    def measure() -> Measures:
        bus = HypervisorEventBus()
        payload = {"saga_id": "x-1", "step_id": "load", "step_action": "load", "attempt": 1}
        gc.collect()
        start = time.process_time()
        for _ in range(steps):
            for event_type in (EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_COMMITTED):
                bus.emit(
                    HypervisorEvent(
                        event_type=event_type,
                        session_id="s-1",
                        agent_did="did:mesh:a",
                        causal_trace_id="a1b2c3d4e5f6/89abcdef/01234567",
                        payload=payload,
                    )
                )
        return {"step": (time.process_time() - start) / steps}

    return measure
