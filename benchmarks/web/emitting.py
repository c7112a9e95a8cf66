"""Emit beside the page with 32 viewers, and without a page: pair by pair, in one process.

Usage: python -m benchmarks.web.emitting PAIRS. Prints JSON: for each pair, `cpu` and `wall` beside
the page, and the same as `other_cpu` and `other_wall` without it, in seconds an event.

`cpu` is CPU time of the thread, as fast as it goes and without the garbage collector, whose turn
comes where it comes: what is looked for is a hundredth. `wall` is what 99 % of single events at
most take on the clock, one each millisecond, with all that other threads hold up.
"""

import gc
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import quantiles

from benchmarks.cases.emitting import create_and_emit
from benchmarks.cases.events import callers
from benchmarks.web.processes import process
from hypervisor_observability import HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import Secret
from hypervisor_web import WebConfig, WebPlugin
from tests.ports import free_port

VIEWERS = 32
_TOKEN = "token-of-the-benchmark"
_FAST = callers(20_000)
_PACED = callers(200)


class Idle:
    """A plugin that reads events and does nothing with them."""

    name = "idle"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        pass


def cpu_seconds(which: Observability) -> float:
    """CPU seconds of this thread an event."""
    gc.collect()
    gc.disable()
    start = time.thread_time()
    create_and_emit(which.bus, _FAST)
    used = (time.thread_time() - start) / len(_FAST)
    gc.enable()
    return used


def wall_seconds(which: Observability) -> float:
    """Seconds on the clock within which 99 % of single events are made and emitted."""
    took = []
    for one in _PACED:
        time.sleep(0.001)
        start = time.perf_counter()
        create_and_emit(which.bus, [one])
        took.append(time.perf_counter() - start)
    return quantiles(took, n=100)[-1]


def main() -> None:
    pairs, port = int(sys.argv[1]), free_port()
    with ExitStack() as stack:
        page = WebPlugin(WebConfig(port=port, token=Secret(_TOKEN)))
        seen = stack.enter_context(Observability(plugins=[page]))
        unseen = stack.enter_context(Observability(plugins=[Idle()]))
        viewers = stack.enter_context(
            process("benchmarks.web.viewers", str(port), _TOKEN, str(VIEWERS))
        )
        assert viewers.stdout is not None
        assert viewers.stdout.readline() == f"{VIEWERS} connected\n"

        figures: list[dict[str, float]] = []
        for number in range(pairs + 1):
            figures.append({})
            for which in (seen, unseen) if number % 2 == 0 else (unseen, seen):
                prefix = "" if which is seen else "other_"
                for name, measure in (("cpu", cpu_seconds), ("wall", wall_seconds)):
                    figures[-1][prefix + name] = measure(which)
                    which.flush(timeout=30)
                    time.sleep(0.2)  # until the viewers have it
    sys.stdout.write(json.dumps(figures[1:]) + "\n")  # the first one warmed up


if __name__ == "__main__":
    main()
