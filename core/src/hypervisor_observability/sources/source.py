"""What a worker reads from: events with sequence numbers, from a position on."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..log import Reading


class Source(Protocol):
    """A log with positions. The log in memory is one; a worker knows nothing more of it."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Sequence numbers of the oldest event that can be read, and of the next one to
        come, both of one moment.
        """

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from *position* on, telling how many were gone."""


class Cursor(Protocol):
    """A position that survives the process, in a source whose events do.

    Attributes:
        start: Where this process begins to read; below 0 for what earlier ones left.
        skipped: Events before *start* that no one will read, though nobody had them.
        defers: Whether the next process reads what this one leaves.
        state: What was saved along with the position; None if nothing was.
    """

    start: int
    skipped: int
    defers: bool
    state: Mapping[str, Any] | None

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save *position*, now or with one of the next calls. Never raises.

        Args:
            position: All before it is settled.
            state: Gives what is to be saved along with it, of the same moment.
            last: Whether to save it now.
        """

    def begin_anew_after_fork(self) -> None:
        """Begin at 0, in a fork's child: what came before is the parent's."""
