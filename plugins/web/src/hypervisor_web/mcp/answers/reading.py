"""A history as one question reads it: through the gate, and only so much of it."""

import time
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field

from hypervisor_observability.causality.traceparent import narrow_trace
from hypervisor_observability.events.timestamps import as_datetime
from hypervisor_observability.gate.gate import Gate
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.search.moments import write_moment
from hypervisor_observability.stores import EVERYTHING, Entry, Follower, History, Wanted

MOST_EVENTS = 200_000
"""Most events that a question reads."""
MOST_SECONDS = 15.0
"""Longest time that it reads."""
MOST_NAMES = 20_000
"""Most joins of agents, the newest, whose names it learns."""
MOST_NAMES_SECONDS = 5.0
"""Longest time that it learns them, before."""

AGAIN = "Ask the same again: what was read is indexed, and it goes on from there."

_JOINS = Wanted(event_type="session.joined")


class OutOfTimeError(Exception):
    """A question has read for as long as it may."""


@define(eq=False)
class Clock:
    """The time that a question has.

    Attributes:
        seconds: From the last :meth:`restart` on.
    """

    seconds: float = MOST_SECONDS
    _begun: float = field(factory=time.monotonic, init=False)

    def restart(self, seconds: float) -> None:
        """Begin anew with so many seconds."""
        self.seconds, self._begun = seconds, time.monotonic()

    def check(self) -> None:
        """Stop a reading that takes too long.

        Raises:
            OutOfTimeError: It does.
        """
        if time.monotonic() - self._begun > self.seconds:
            raise OutOfTimeError


@define(eq=False)
class Reading:
    """A ``History`` of which only so much is read. Secrets are taken out of what it gives.

    Attributes:
        history: What is read.
        gate: Takes out secrets, and before anything is compared: a search cannot guess them.
        most_events: How many events are read at most.
        clock: How long.
        read: How many were.
        oldest_ns: The time of the oldest of them.
        stopped: Why it was stopped, in our words; empty if it was not.
        goes_on: Whether the same question again would come further: what was read is indexed.
    """

    history: History
    gate: Gate = field(factory=Gate)
    most_events: int = MOST_EVENTS
    clock: Clock = field(factory=Clock)
    read: int = field(default=0, init=False)
    oldest_ns: int | None = field(default=None, init=False)
    stopped: str = field(default="", init=False)
    goes_on: bool = field(default=False, init=False)

    @property
    def place(self) -> str:
        """Where it is."""
        return self.history.place

    def runs(self) -> Sequence[str]:
        """Give the names of the runs."""
        return self.history.runs()

    def follow(self) -> Follower:
        """Give what comes."""
        return self.history.follow()

    def close(self) -> None:
        """Leave it open: who opened it closes it."""

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Give the events that are *wanted* until there were enough of them."""
        found = self.history.events(wanted, runs=runs, limit=limit, newest_first=newest_first)
        try:
            for entry in found:
                if self.read >= self.most_events:
                    self.stopped = f"{self.most_events:,} events"
                    return
                if limit is None and self.read % 100 == 99:
                    self.clock.check()
                self.read += 1
                moment = entry.event.timestamp_ns
                if self.oldest_ns is None or moment < self.oldest_ns:
                    self.oldest_ns = moment
                yield Entry(entry.run, entry.sequence, self.gate.admit(entry.event))
        except OutOfTimeError:
            self.stopped = f"{self.clock.seconds:.0f} s"
            self.goes_on = self.goes_on or wanted != EVERYTHING

    def anew(self, most_events: int | None = None) -> "Reading":
        """Give another reading of the same history, with a bound of its own, in the same time."""
        most = self.most_events if most_events is None else most_events
        return Reading(self.history, self.gate, most, self.clock)

    def names(self) -> AgentNames:
        """Learn the names under which agents joined lately. Then the time begins anew."""
        seconds = self.clock.seconds
        self.clock.restart(min(seconds, MOST_NAMES_SECONDS))
        joins = [entry.event for entry in self.anew(MOST_NAMES).events(_JOINS, newest_first=True)]
        names = AgentNames()
        for event in reversed(joins):  # the newest name counts
            names.meet(event)
        self.clock.restart(seconds)
        return names

    def notes(self, narrow: str = "", *, further: str = "") -> list[str]:
        """Say how far was read, if that is not all.

        Args:
            narrow: What to ask instead.
            further: How to name a time, to go on from there, such as ``--until``.
        """
        if not self.stopped:
            return []
        if self.goes_on:
            narrow = f"{AGAIN} {narrow}"
        text = f"Not all of the history was read: reading stopped after {self.stopped}"
        if self.oldest_ns is not None:
            text += f", back to {moment(self.oldest_ns)}"
            if further:
                narrow = f"To go further back: {further} {last_moment(self.oldest_ns)}. {narrow}"
        return [f"{text}. {narrow}".strip()]


def last_moment(timestamp_ns: int) -> str:
    """Write a time so that ``--until`` it leaves out nothing of that time: to the microsecond."""
    return write_moment(timestamp_ns + 999)


def moment(timestamp_ns: int) -> str:
    """Write a time for reading: UTC, to the millisecond."""
    text = as_datetime(timestamp_ns).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def short_trace(key: str) -> str:
    """Give the short form of a trace's id, if it has one."""
    return narrow_trace(key) or key
