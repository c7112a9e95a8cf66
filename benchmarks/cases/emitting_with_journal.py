"""Create and emit, with a journal and without."""

import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec

from benchmarks.cases import Measure, Measures
from benchmarks.cases.emitting import create_and_emit
from benchmarks.cases.events import callers
from benchmarks.cases.journals import directory
from hypervisor_observability import Config, Observability


def prepare(*, events: int, journal: bool, msgspec: bool) -> Measure:
    """Measure ``thread``: CPU seconds an event, of the thread that emits."""
    if msgspec:
        assert find_spec("msgspec") is not None, "msgspec is not installed"
    else:
        sys.modules["msgspec"] = None  # type: ignore[assignment]  # as if it were not installed
    who = callers(events)

    def measure() -> Measures:
        with ExitStack() as stack:
            tables = {"journal": {"directory": stack.enter_context(directory())}} if journal else {}
            observability = stack.enter_context(Observability(Config(plugins=tables)))
            start = time.thread_time()
            create_and_emit(observability.bus, who)
            return {"thread": (time.thread_time() - start) / events}

    return measure
