"""What a worker reads from, and the contract that every store keeps: in memory, on a disk, or on
a network.

Positions
    A position is the number of an event in one reader's order. Two readers of a store need not
    agree on them. They rise by one from event to event, never fall, and never name another event
    later. A reader goes on at the ``next_position`` of its last reading. It never goes back, but
    that it may ask again for the reading that it had last.
An empty reading
    The stream has looked, and there is nothing to read at present. ``skipped`` counts events that
    *nobody will ever read again*, because the bounds of the store took them. Both are facts.
A failed read
    Whatever keeps the stream from looking (too many open files, a disk or a network that does not
    answer, a permission) raises ``StreamUnavailableError``. It means: wait, and make the same call
    again. It is no answer: never an empty reading, never "gone", "dead" or "no position yet". Those
    follow from ``FileNotFoundError``, or from a lock's own answer, alone. A call that raises has
    changed nothing.
A batch
    One reading may hold events of several runs. Events of one run are in its order.
Costs
    ``read`` costs what it returns, ``bounds`` what has come since the last call; neither grows with
    the number of runs that are over, nor with what was read before. Both may wait for a disk.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..events.event import HypervisorEvent
from .log import Reading


class EventStream(Protocol):
    """A log with positions. The log in memory is one; a worker knows nothing more of it."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Positions of the oldest event that can be read, and of the next one to come, both of
        one moment. Neither ever falls.

        Raises:
            StreamUnavailableError: It cannot be told at present.
        """

    def read(self, position: int, max_events: int) -> Reading:
        """Read up to *max_events* from *position* on, telling how many were gone.

        Raises:
            StreamUnavailableError: It cannot be read at present; nothing has changed.
        """


class Cursor(Protocol):
    """A position that survives the process, in a stream whose events do."""

    @property
    def start(self) -> int:
        """Where this process begins to read; below 0 for what earlier ones left."""

    @property
    def skipped(self) -> int:
        """Events before ``start`` that no one will read, though nobody had them."""

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position, or with one before it; None if nothing was.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Read the events between the moment of *state* and *start* again, in the order in which
        they were read. All of them were settled by an earlier process: they are for what goes
        on from *state*, such as a span assembler, and are delivered to nobody.

        Raises:
            StreamUnavailableError: They cannot be read at present: begin from *state* again.
        """

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save *position*, and *state* with it or later. Never raises.

        What was saved last survives the process; a power cut may take what was saved in the
        last second.

        Args:
            position: All before it is settled.
            state: Gives what is to be saved along with it, of the same moment.
            last: Whether both have to be on the disk when this returns.
        """

    def begin_anew_after_fork(self) -> None:
        """Begin at 0, in a fork's child: what came before is the parent's."""
