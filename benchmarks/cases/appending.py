"""Append events to a journal that exist already."""

import time

from benchmarks.cases import Measure, Measures
from benchmarks.cases.journals import directory, make_events, write


def prepare(*, events: int) -> Measure:
    """Measure ``seconds`` an event."""

    def measure() -> Measures:
        made = list(make_events(events))
        with directory() as journal:
            start = time.process_time()
            write(journal, iter(made))
            return {"seconds": (time.process_time() - start) / events}

    return measure
