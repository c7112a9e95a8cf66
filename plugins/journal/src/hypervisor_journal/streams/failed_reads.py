"""From the system's errors to the two that a stream knows: gone, or not to be read at present."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_observability.bus.log import Reading
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.text.limited_log import LimitedLog

_AT_ONCE = 512  # events


@contextmanager
def or_wait(what: object) -> Iterator[None]:
    """Have every ``OSError`` mean "wait", but that something is not there.

    Args:
        what: What is read, where the error does not say.

    Raises:
        FileNotFoundError: It is not there.
        StreamUnavailableError: It cannot be read at present.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StreamUnavailableError(error.filename or what, error) from error


def reading_of(reader: RunReader, position: int, max_events: int) -> Reading | None:
    """Read on in a run; None where it, or a segment of it, has gone.

    Raises:
        StreamUnavailableError: It cannot be read at present.
    """
    try:
        with or_wait(reader.run.path):
            return reader.read(position, max_events)
    except FileNotFoundError:
        return None


def replayed(reader: RunReader, start: int, end: int) -> Iterator[Sequence[HypervisorEvent]]:
    """Give the events from one sequence number up to another, as far as there are any.

    Raises:
        StreamUnavailableError: They cannot be read at present.
    """
    while start < end:
        reading = reading_of(reader, start, min(_AT_ONCE, end - start))
        if reading is None or not reading.events:
            return
        yield reading.events[: max(0, end - reading.position)]
        start = reading.next_position


def damage_teller(name: str | None) -> Callable[[Damage], None]:
    """Give what tells of damage that is come across: each place once a while.

    Args:
        name: Of the plugin that reads; None: the process looks what earlier runs have left.
    """
    limited_log = LimitedLog(__name__, interval_seconds=600.0)
    who = "a look at earlier runs" if name is None else f"plugin {name}"

    def tell(damage: Damage) -> None:
        limited_log.warning(
            f"{damage.path} {damage.offset}", "%s passes over damage in the journal: %s",
            who, damage,
        )  # fmt: skip

    return tell
