"""Draw causal ids."""

import time

from benchmarks.cases import Measure, Measures
from hypervisor.observability import CausalTraceId


def prepare(*, ids: int) -> Measure:
    """Measure seconds an id: ``root`` and ``child``."""
    parent = CausalTraceId().child()

    def measure() -> Measures:
        numbers = range(ids)
        start = time.process_time()
        for _ in numbers:
            CausalTraceId()
        middle = time.process_time()
        for _ in numbers:
            parent.child()
        end = time.process_time()
        return {"root": (middle - start) / ids, "child": (end - middle) / ids}

    return measure
