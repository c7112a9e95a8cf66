"""What a worker reads from: events with sequence numbers, from a position on."""

from typing import Protocol

from .log import Reading


class Source(Protocol):
    """A log with positions. The log in memory is one; a worker knows nothing more of it."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Sequence numbers of the oldest event that can be read, and of the next one to
        come, both of one moment.
        """

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from *position* on, telling how many were gone."""
