"""What a store tells of the past, for who asks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

from attrs import frozen

from ..causality import traceparent
from ..causality.id_text import MAX_FULL
from ..events.event import HypervisorEvent


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
"""All events that there are."""


def trace_key(causal_id: str) -> str:
    """Give what tells a trace from others, from any id in it: a trace has one wide form."""
    return _trace_key(causal_id) if len(causal_id) <= MAX_FULL else _key_in(causal_id)


def _key_in(causal_id: str) -> str:
    trace_id = causal_id.partition("/")[0]
    return traceparent.widen_trace(trace_id) if trace_id.isascii() else trace_id


_trace_key = lru_cache(maxsize=10_000)(_key_in)


def trace_of(event: HypervisorEvent) -> str | None:
    """Give the key of the event's trace; None if it has no causal id."""
    return None if event.causal_trace_id is None else trace_key(event.causal_trace_id)


def _ignore(*_: object) -> None:
    pass


@frozen(kw_only=True)
class HistoryContext:
    """What a store is told about the command that asks.

    Attributes:
        notice: Takes a line for each thing that cannot be read, and is passed over: whoever asks
            has an answer that is not whole.
        remark: Takes a line about anything worth knowing that is not a loss.
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


@runtime_checkable
class RecentFollower(Follower, Protocol):
    """A follower that can also give very many of the events before it, one at a time."""

    def recent(self, count: int) -> Iterator[Entry]:
        """Give what was recorded before that moment, by time, from some moment on: at least the
        newest *count* events, if there are so many. They are not held in memory.
        """


def recent(follower: Follower, count: int) -> Iterable[Entry]:
    """Give at least the newest *count* events from before *follower* was made, by time."""
    if isinstance(follower, RecentFollower):
        return follower.recent(count)
    return follower.newest(EVERYTHING, count)


class History(Protocol):
    """What a store tells of the past, over all processes."""

    @property
    def place(self) -> str:
        """Where it is, for people: a directory, an address."""

    def runs(self) -> Sequence[str]:
        """Give the names of the runs, the oldest first.

        Raises:
            OSError: The runs cannot be listed.
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
            newest_first: Whether the order is turned round. A store that can read backwards reads
                no more than is taken.

        Raises:
            OSError: What the store holds cannot be determined.
        """

    def follow(self) -> Follower:
        """Give what comes from now on."""

    def close(self) -> None:
        """Close files and connections. Report what has not been reported yet."""


@frozen(kw_only=True)
class Description:
    """What a store tells of itself. None stands for what it does not know.

    Attributes:
        runs: How many runs there are.
        living: Names of those whose processes still record.
        events: How many events they hold.
        bytes: What they take, on a disk for instance.
        proven_at: When the newest proof was made that nothing before it was changed, in seconds
            since the epoch.
        proven_run: The run that it is about.
        proven_events: How many events of that run it vouches for.
        problems: What cannot be read, a line each.
    """

    runs: int
    living: Sequence[str] | None = None
    events: int | None = None
    bytes: int | None = None
    proven_at: float | None = None
    proven_run: str | None = None
    proven_events: int | None = None
    problems: Sequence[str] = ()


@runtime_checkable
class DescribedHistory(History, Protocol):
    """A history that can also tell of itself."""

    def describe(self) -> Description:
        """Tell of the store, without reading all of it: somebody asks every few seconds.

        It changes nothing. It is called by one thread at a time, which may be another one than
        that which opened the history.

        Raises:
            OSError: Nothing can be told at present.
        """


def finds_fast(history: History) -> bool:
    """Tell whether *history* finds few events among very many without reading all of them: it does,
    unless its attribute ``indexed`` is false.
    """
    return bool(getattr(history, "indexed", True))


def describe(history: History) -> Description | None:
    """Have *history* tell of itself; None where it cannot."""
    return history.describe() if isinstance(history, DescribedHistory) else None
