"""Records as the events that they hold, and what is said of runs that are not shown whole."""

from collections.abc import Callable

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_journal.format.frames import Record
from hypervisor_observability.stores import Entry

Notice = Callable[[str], object]


def entry_of(run: str, record: Record, notice: Notice) -> Entry | None:
    """Give the entry of a record; None, after telling so, if it holds no event."""
    try:
        return Entry(run, record.sequence, event_of(record))
    except BadEventError as error:
        notice(f"no event: run {run}, number {record.sequence}: {error}")
        return None


def missing_text(run: str, first: int, behind: int) -> str:
    """Say that numbers of a run never came: from *first* on, up to the one before *behind*."""
    return f"run {run}: numbers {first} to {behind - 1} never came to the stream"


def bad_text(run: str, problem: str) -> str:
    """Say from where on a run is not shown."""
    return f"run {run}, {problem}; nothing of it from there on is shown"
