"""Reading again what came between a saved state and the position that was saved with it."""

from collections.abc import Iterator, Sequence

from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.streams.failed_reads import or_wait
from hypervisor_observability.events.event import HypervisorEvent

_AT_ONCE = 512  # events


def replayed(reader: RunReader, start: int, end: int) -> Iterator[Sequence[HypervisorEvent]]:
    """Give the events of a run from one sequence number up to another, as far as there are any.

    Raises:
        StreamUnavailableError: They cannot be read at present.
    """
    while start < end:
        try:
            with or_wait(reader.run.path):
                reading = reader.read(start, min(_AT_ONCE, end - start))
        except FileNotFoundError:  # the bounds of the directory
            return
        if not reading.events:
            return
        yield reading.events[: max(0, end - reading.position)]
        start = reading.next_position
