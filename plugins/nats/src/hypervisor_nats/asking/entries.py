"""Records as the events that they hold, and the texts on what a query does not show."""

from collections.abc import Callable

from hypervisor_journal.format.encoding import BadEventError, event_of
from hypervisor_journal.format.frames import Record
from hypervisor_nats.messages import StrangeMessageError
from hypervisor_nats.requests import Stored
from hypervisor_observability.stores import Entry

Notice = Callable[[str], object]


def entry_of(run: str, record: Record, notice: Notice) -> Entry | None:
    """Return the entry of a record; None, after a notice, if it holds no event."""
    try:
        return Entry(run, record.sequence, event_of(record))
    except BadEventError as error:
        notice(f"no event: run {run}, number {record.sequence}: {error}")
        return None


def missing_text(run: str, first: int, behind: int) -> str:
    """Say that numbers of a run never came: from *first* up to, but not including, *behind*."""
    return f"run {run}: numbers {first} to {behind - 1} never came to the stream"


def bad_text(run: str, problem: str) -> str:
    """Say from which number on a run is not shown."""
    return f"run {run}, {problem}; nothing of it from there on is shown"


def strange_text(message: Stored, error: StrangeMessageError) -> str:
    """Say that a message is skipped, because it is not one of ours."""
    return f"skipped, not of a run: message {message.sequence}, {message.subject}: {error}"
