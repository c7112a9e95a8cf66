"""Emit beside the page with 32 viewers, and without a page: pair by pair, in one process.

Usage: python -m benchmarks.web.emitting PAIRS EVENTS. Prints JSON: seconds an event, of both, pair
by pair.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.cases.emitting import create_and_emit
from benchmarks.cases.events import callers
from benchmarks.web.processes import process
from hypervisor_observability import HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import Secret
from hypervisor_web import WebConfig, WebPlugin
from tests.ports import free_port

VIEWERS = 32
_TOKEN = "token-of-the-benchmark"


class Idle:
    """A plugin that reads events and does nothing with them."""

    name = "idle"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        pass


def main() -> None:
    pairs, events = map(int, sys.argv[1:])
    who = callers(events)
    port = free_port()
    with ExitStack() as stack:
        page = WebPlugin(WebConfig(port=port, token=Secret(_TOKEN)))
        seen = stack.enter_context(Observability(plugins=[page]))
        unseen = stack.enter_context(Observability(plugins=[Idle()]))
        viewers = stack.enter_context(
            process("benchmarks.web.viewers", str(port), _TOKEN, str(VIEWERS))
        )
        assert viewers.stdout is not None
        assert viewers.stdout.readline() == f"{VIEWERS} connected\n"

        def measure(which: Observability) -> float:
            start = time.thread_time()
            create_and_emit(which.bus, who)
            used = (time.thread_time() - start) / events
            which.flush(timeout=30)
            time.sleep(0.3)  # until the viewers have it
            return used

        figures = []
        for number in range(pairs + 1):
            order = (seen, unseen) if number % 2 == 0 else (unseen, seen)
            measured = {id(one): measure(one) for one in order}
            figures.append((measured[id(seen)], measured[id(unseen)]))
    sys.stdout.write(json.dumps(figures[1:]) + "\n")  # the first one warmed up


if __name__ == "__main__":
    main()
