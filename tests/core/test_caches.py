"""What is remembered for speed stays small, whatever comes."""

import gc
import tracemalloc

from hypervisor_observability import FinishedSpan, HypervisorEvent
from hypervisor_observability.config import RedactionConfig
from hypervisor_observability.facts.leaves import Leaves
from hypervisor_observability.gate import Gate
from hypervisor_observability.spans.identity import causal_ids
from hypervisor_observability.stores.history import trace_key
from hypervisor_otel import request_of_spans

MAX_BYTES = 8 * 1024 * 1024
ROUNDS = 9_000


def odd(number: int, characters: int) -> str:
    """Text whose characters take four bytes each, all of it another one each time."""
    return f"\U0001f600{number:08d}".ljust(characters, "x")


def test_all_caches_together_stay_below_8_mib() -> None:
    gate = Gate.of(RedactionConfig())
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(ROUNDS):
            short, key = odd(number, 64), odd(-number, 64)
            gate.admit(HypervisorEvent(payload={key: short, odd(number, 250): odd(number, 900)}))
            gate.admit(HypervisorEvent(payload={"text": f"{'n' * 9_000}{number} = value"}))
            causal_ids(HypervisorEvent(causal_trace_id=odd(number, 194)))
            wide = f"{number:064x}/{number:064x}/{number + 1:064x}"
            causal_ids(HypervisorEvent(causal_trace_id=wide))
            if number % 3 == 0:
                span = FinishedSpan(
                    name="s",
                    trace_id="a" * 32,
                    span_id="b" * 16,
                    parent_span_id=None,
                    start_ns=1,
                    end_ns=2,
                    attributes={key: short, odd(number, 200): odd(number, 900)},
                )
                request_of_spans([([span], {})])
        gc.collect()
        # At the worst moment: some are emptied when they are full.
        assert tracemalloc.get_traced_memory()[1] - before < MAX_BYTES
    finally:
        tracemalloc.stop()


def test_ids_that_are_too_long_are_remembered_by_none() -> None:
    leaves = Leaves()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1_000):
            event = HypervisorEvent(causal_trace_id=f"{number:032x}/{'b' * 100_000}")
            trace_key(event.causal_trace_id or "")
            leaves.note(event)
            leaves.is_total(event, (1.0, 1.0, 1.0))
        assert tracemalloc.get_traced_memory()[0] - before < MAX_BYTES
    finally:
        tracemalloc.stop()
