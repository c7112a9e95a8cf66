"""The contract with a store: a plugin that keeps events beyond the memory of the process.

A store has up to three hooks (see :mod:`hypervisor_observability.hookspecs`), one for each place
in which somebody needs what it keeps:

=================  =================================  ==========================================
hook               gives                              asked by
=================  =================================  ==========================================
``open_store``     ``Store``: records what is         ``Observability``, in a process that emits
                   emitted, before the log has it
``open_history``   ``History``: what was recorded,    ``hvobs query``, ``tail``, ``tree``,
                   by all processes                   ``report``, ``replay``
``follow_store``   ``FollowedStore``: an event        ``hvobs agent``
                   stream for each reader over what
                   all processes record
=================  =================================  ==========================================

At most one store is on. What a store must hold in each of these roles is written down as tests:
subclass :class:`hypervisor_observability.testing.StoreContract`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from .bus.log import EventLog
from .bus.stream import Cursor, EventStream
from .causality import traceparent
from .events.event import HypervisorEvent

if TYPE_CHECKING:
    from .metrics.families import MetricFamily


# In a process that emits


@frozen(kw_only=True)
class StoreContext:
    """What a store gets to know of the process whose events it keeps.

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
        """Begin a record of its own, in a fork's child; what came before is the parent's."""

    def status(self) -> Mapping[str, Any]:
        """Tell of it in plain data, for ``status.json``: strings, numbers, None. Anything else is
        left out.

        ``degraded`` says whether events are not kept at present, ``lost`` how many were not.
        """

    def metrics(self) -> "Sequence[MetricFamily]":
        """Tell of it, as metrics. A family that is not whole, or has the name of another, is left
        out.
        """


# For who asks


@frozen
class Entry:
    """An event with its place in a store.

    Attributes:
        run: Name of the run that recorded it: a run is what one process records from its start,
            or from a fork, to its end.
        sequence: Its number there, from 0.
        event: The event; its payload is empty where it was erased.
    """

    run: str
    sequence: int
    event: HypervisorEvent


@frozen(kw_only=True)
class Wanted:
    """Which events are asked for; None where it does not matter.

    Attributes:
        event_type: Value of the type.
        session_id: The session.
        agent_did: The agent.
        trace: Key of the trace; ``trace_key`` gives it.
        since_ns: The first moment, in nanoseconds since the epoch.
        until_ns: The last moment, included.
    """

    event_type: str | None = None
    session_id: str | None = None
    agent_did: str | None = None
    trace: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def covers(self, event: HypervisorEvent) -> bool:
        """Tell whether *event* is one of them."""
        return (
            (self.event_type is None or event.event_type == self.event_type)
            and (self.session_id is None or event.session_id == self.session_id)
            and (self.agent_did is None or event.agent_did == self.agent_did)
            and (self.trace is None or trace_of(event) == self.trace)
            and (self.since_ns is None or event.timestamp_ns >= self.since_ns)
            and (self.until_ns is None or event.timestamp_ns <= self.until_ns)
        )


EVERYTHING = Wanted()


@lru_cache(maxsize=10_000)
def trace_key(causal_id: str) -> str:
    """Give what tells a trace from others, from any id in it: a trace has one wide form."""
    trace_id = causal_id.partition("/")[0]
    return traceparent.widen_trace(trace_id) if trace_id.isascii() else trace_id


def trace_of(event: HypervisorEvent) -> str | None:
    """Give the key of the event's trace; None if it has no causal id."""
    return None if event.causal_trace_id is None else trace_key(event.causal_trace_id)


def _ignore(*_: object) -> None:
    pass


@frozen(kw_only=True)
class HistoryContext:
    """What a store gets to know of who asks.

    Attributes:
        notice: Takes a line for each thing that cannot be read, and is passed over: whoever asks
            has an answer that is not whole.
        remark: Takes a line for what is worth knowing and no loss.
        indexed: Whether the store may use, and make, what answers the next question faster.
        may_be_empty: Whether nothing may have been recorded yet: what comes is waited for.
        expect: Takes the number of steps of a long reading, before the first; None: nobody wants
            to know it, and it need not be counted.
        step: Called after each of them.
    """

    notice: Callable[[str], object]
    remark: Callable[[str], object] = _ignore
    indexed: bool = True
    may_be_empty: bool = False
    expect: Callable[[int], object] | None = None
    step: Callable[[], object] = _ignore


class Follower(Protocol):
    """What is recorded from the moment on at which this was made."""

    def newest(self, wanted: Wanted, count: int) -> Sequence[Entry]:
        """Give the newest *count* of what was recorded before that moment and is *wanted*,
        oldest first.
        """

    def news(self) -> Iterator[Entry]:
        """Give what has come since the last call, in the order of a run; what cannot be read is
        told, and comes with a later call.
        """


class History(Protocol):
    """What a store tells of the past, over all processes."""

    @property
    def place(self) -> str:
        """Where it is, for people: a directory, an address."""

    def runs(self) -> Sequence[str]:
        """Give the names of the runs, the oldest first.

        Raises:
            OSError: They cannot be listed.
        """

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Give the events that are *wanted*, by their times; within a run in its own order.

        What cannot be read is told, and passed over.

        Args:
            wanted: Which.
            runs: Only those of these; None: of all.
            limit: Only the newest so many of them; None: all.
            newest_first: Whether the order is turned round.

        Raises:
            OSError: It cannot be said at all what there is.
        """

    def follow(self) -> Follower:
        """Give what comes from now on."""

    def close(self) -> None:
        """Let go of files and connections; tell what is left to tell."""


# For the agent


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
        """Tell of it in plain data, for ``status.json``."""

    def metrics(self) -> "Sequence[MetricFamily]":
        """Tell of it, as metrics."""
