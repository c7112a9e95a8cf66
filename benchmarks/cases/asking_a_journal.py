"""Ask a journal for the events of one session, through its index or without."""

import time
from pathlib import Path

from benchmarks.cases import Measure, Measures
from benchmarks.cases.events import SESSIONS
from benchmarks.cases.journals import directory, make_events, write
from hypervisor_journal.reading.event_index import EventIndex
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_observability.stores import Wanted


def prepare(*, events: int, indexed: bool) -> Measure:
    """Measure seconds: ``first``, and ``session`` for another session after that."""

    def measure() -> Measures:
        with directory() as journal:
            write(journal, make_events(events))
            return {
                "first": _ask(journal, 0, events, indexed=indexed),
                "session": _ask(journal, 1, events, indexed=indexed),
            }

    return measure


def _ask(journal: Path, session: int, events: int, *, indexed: bool) -> float:
    start = time.process_time()
    index = EventIndex.of(journal) if indexed else None
    found = list(JournalHistory(journal, print, index).events(Wanted(session_id=SESSIONS[session])))
    if index is not None:
        index.close()
    took = time.process_time() - start
    assert len(found) == events // len(SESSIONS)
    return took
