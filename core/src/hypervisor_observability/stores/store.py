"""What keeps the events of a process that emits."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from ..bus.log import EventLog
from ..bus.stream import Cursor, EventStream
from ..errors import SettingError
from ..events.event import HypervisorEvent

if TYPE_CHECKING:
    from ..metrics.families import MetricFamily


class OnlyReadError(SettingError):
    """The table says how to read the store, but not how to write to it: enough for an agent and for
    queries. ``open_store`` raises it in a process that emits.
    """


@frozen(kw_only=True)
class StoreContext:
    """What a store is told about the process whose events it keeps.

    Attributes:
        name: The name of its table.
        service: ``service`` of the configuration.
        logger: A logger of its own.
        log: The log in memory: what it holds when recording begins is recorded first, and a
            stream reads it before it reads what the store has.
        admit: Takes from an event what may not leave the process; never raises.
        announce: Emits an event of the store's own: its type, and its payload.
    """

    name: str
    service: str
    logger: logging.Logger
    log: EventLog
    admit: Callable[[HypervisorEvent], HypervisorEvent]
    announce: Callable[[str, Mapping[str, Any]], object]


class ReaderStream(EventStream, Cursor, Protocol):
    """What one reader reads, and how far it is: one object, since each needs the other."""


class Store(Protocol):
    """Keeps the events of one process. The host calls it; nothing of it reaches the application:
    what it raises is told and counted. One that cannot be had, cannot begin, or cannot begin anew
    in a fork's child is *down*: the bus then works in memory, and the store is asked no more.

    No method is a coroutine function: nobody would await it.
    """

    def start(self, take_over: Callable[[], object]) -> None:
        """Begin. What cannot be opened now is told, and tried again later.

        Args:
            take_over: Called in this call, or the store is down: from then on each event comes
                through ``record``. What the log holds at that moment is recorded first, whoever
                calls ``record`` meanwhile, so that both count alike.
        """

    def record(self, event: HypervisorEvent, append: Callable[[HypervisorEvent], object]) -> object:
        """Keep *event*, then call *append* with it, so that both orders are one.

        Called by emitting threads, also in signal handlers and finalisers: it waits for nothing
        but the page cache, because its caller waits for it. What cannot be kept is told and
        counted, and is appended all the same: an event that ``record`` never appends, nobody gets.
        Where it raises, the host appends the event unless the log has it.
        """

    def sync(self) -> object:
        """Have what was recorded before this call outlive the machine.

        Returns:
            False where it may not; anything else where it does.

        Raises:
            OSError: It may not, either.
        """

    def note_clock_step(self, step_seconds: float) -> None:
        """Keep that the wall clock was stepped. It is no event: no reader gets it."""

    def stream_for(self, reader: str, *, defers: bool) -> ReaderStream:
        """Give what *reader* reads: what it has not had yet of earlier processes, at positions
        below 0, then the events of this one. Called before ``start``.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next process; if not, what earlier
                ones left is skipped, and counted.
        """

    def stream_behind_log(self, reader: str) -> EventStream:
        """Give the events of this process alone: those that memory has given up, too."""

    def stop(self, timeout: float) -> None:
        """End, within *timeout* seconds, with everything synced that can be.

        Called once, last, in a thread of its own, also after a ``start`` that raised. It is not
        waited for longer than that.
        """

    def begin_anew_after_fork(self) -> None:
        """Begin a record of its own in a fork's child. What came before belongs to the parent."""

    def status(self) -> Mapping[str, Any]:
        """Tell of it in plain data, for the status: strings, numbers, None. Anything else is
        left out.

        ``degraded`` says whether events are not kept at present, ``lost`` how many were not. A
        store that sends its events elsewhere gives in ``unshipped`` how many of this process are
        still to be sent, and in ``problem`` what prevents that at present.
        """

    def metrics(self) -> "Sequence[MetricFamily]":
        """Tell of it, as metrics. A family that is not whole, or has the name of another, is left
        out.
        """
