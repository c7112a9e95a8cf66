"""What all processes record, for the readers of an agent."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

from ..events.event import HypervisorEvent
from .store import ReaderStream

if TYPE_CHECKING:
    from ..metrics.families import MetricFamily


@frozen(kw_only=True)
class FollowContext:
    """What a store gets to know of the agent that follows it.

    Attributes:
        name: The name of its table.
        service: ``service`` of the configuration.
        logger: A logger of its own.
    """

    name: str
    service: str
    logger: logging.Logger


class FollowedStream(ReaderStream, Protocol):
    """What one reader of the agent reads of all runs, and how far it is."""

    @property
    def damaged(self) -> bool:
        """Whether something was come across that cannot be read for good."""

    def open(self) -> None:
        """Find out where to go on, before anything is read.

        Raises:
            StreamUnavailableError: It cannot be told at present: to be called again.
        """

    @property
    def unfinished(self) -> set[str]:
        """Names of the runs that live, or have something left for this reader."""

    @property
    def in_flight(self) -> Sequence[tuple[str, Sequence[HypervisorEvent]]]:
        """What was read and is not committed, with the names of the runs."""

    def since_state_by_run(self) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what ``since_state`` gives, with the names of the runs.

        Raises:
            StreamUnavailableError: It cannot be read at present: begin from *state* again.
        """


@runtime_checkable
class SharedStream(FollowedStream, Protocol):
    """What one reader reads of a store that several agents share: each event is for one of them.

    Runs are divided into *parts*; all events of a run are in one part. A part belongs to one agent
    at a time. The time from getting a part to giving it up or losing it is a *term*. Positions are
    the reader's own, in this process: they begin at 0, count what it read, and never fall,
    whichever parts come and go.

    What is saved is saved by part. So ``state`` is None and ``since_state`` and
    ``since_state_by_run`` give nothing: ``state_of`` and ``since_state_of`` are asked instead.
    ``start`` is 0.

    ``bounds`` counts what waits in the parts that this agent owns. What waited in a part that it
    lost stays counted until a later reading skips it: ``skipped``, which ``left`` explains.
    ``bounds`` raises ``StreamUnavailableError`` while a part is due to this agent but not yet its
    own: what waits there is not known. ``read`` does not wait for that.

    Losing a part is no error. Before it reads, an agent checks on its own monotonic clock that its
    parts are still its own: it may have been paused for a minute.
    """

    @property
    def parts(self) -> Mapping[str, int]:
        """The parts that this agent owns now, each with the number of its term: a new number each
        time that the agent gets it. From memory; asked before each reading.
        """

    @property
    def part(self) -> str | None:
        """The part of the last reading that had events; None before the first.

        All events of a reading are of one part. The next ``commit`` is about it, and the state
        that goes with it is that of this part.
        """

    def state_of(self, part: str) -> Mapping[str, Any] | None:
        """Give what was saved along with the position in *part*, by any agent; None if nothing was.
        ``read`` gives nothing of a part before its reader has asked for this in the term, and
        then read ``since_state_of`` to its end.

        Raises:
            StreamUnavailableError: It cannot be read at present, or this agent has lost it.
        """

    def since_state_of(self, part: str) -> Iterator[tuple[str, Sequence[HypervisorEvent]]]:
        """Give what was settled in *part* between the moment of its state and the position at
        which this term began, with the names of the runs, in the order in which it was read.

        Raises:
            StreamUnavailableError: As ``state_of``: begin from that again.
        """

    def left(self) -> Mapping[str, int]:
        """Give how many events were skipped since the process began, in all readings and in
        ``skipped``, by reason. No count ever falls. From memory; asked after a reading that skipped
        some.

        Reasons are ``deferred`` (another agent reads them), ``not_replayed`` (the plugin begins
        later) and ``unverified`` (they are not what was recorded). Events without a reason were
        removed by the store's limits.
        """

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save how far ``part`` is read, and *state* with it or later. Never raises.

        It never overwrites what another agent has saved: an agent that finds such a save has lost
        the part. After ``last``, the agent gives up all its parts when the store is stopped.
        """


class FollowedStore(Protocol):
    """What all processes record, for the readers of one agent.

    A store whose streams are ``SharedStream`` is shared: several agents may follow it at once, and
    each event is for one of them.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: a directory, an address."""

    def start(self) -> None:
        """Take what only one agent may have.

        Raises:
            StoreInUseError: Another one has it: it would deliver everything too. (Never, if the
                streams are shared.)
            StreamUnavailableError: It cannot be told at present: to be called again.
            OSError: It cannot be had: how far the readers are could not be kept.
        """

    def stream_for(self, reader: str, *, defers: bool) -> FollowedStream:
        """Give what *reader* reads; the same object for the same name.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next process; if not, what is there
                when it begins for the first time is skipped, and counted.
        """

    def stop(self) -> None:
        """Release it. Nothing that is asked later, such as bounds, takes it again."""

    def status(self) -> Mapping[str, Any]:
        """Tell of it in plain data, for the status."""

    def metrics(self) -> "Sequence[MetricFamily]":
        """Tell of it, as metrics."""
