"""What all processes record, for the readers of an agent."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

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


class FollowedStore(Protocol):
    """What all processes record, for the readers of one agent."""

    @property
    def place(self) -> str:
        """Where it is, for people: a directory, an address."""

    def start(self) -> None:
        """Take what only one agent may have.

        Raises:
            StoreInUseError: Another one has it: it would deliver everything too.
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
        """Let go of it."""

    def status(self) -> Mapping[str, Any]:
        """Tell of it in plain data, for the status."""

    def metrics(self) -> "Sequence[MetricFamily]":
        """Tell of it, as metrics."""
