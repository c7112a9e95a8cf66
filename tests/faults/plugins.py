"""Plugins that misbehave."""

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any

from attrs import define, field

from hypervisor_observability import HypervisorEvent, Reject, RetryLater, hookimpl


class Taking:
    """Takes everything."""

    def __init__(self, name: str = "taking") -> None:
        self.name = name

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Do nothing."""


class Raising:
    """Raises *error* at every call."""

    def __init__(self, name: str, error: type[BaseException]) -> None:
        self.name = name
        self._error = error

    @hookimpl
    def export_events(self) -> None:
        """Raise."""
        raise self._error


class Hanging:
    """Hangs in its first call."""

    def __init__(self, name: str = "hanging") -> None:
        self.name = name
        self.entered = threading.Event()

    @hookimpl
    def export_events(self) -> None:
        """Hang."""
        self.entered.set()
        threading.Event().wait()


class Away:
    """Asks to retry until it is told that the backend is back; keeps the ids of what it took."""

    name = "away"

    def __init__(self) -> None:
        self.back = False
        self.taken: list[str] = []

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Take them, or ask to retry."""
        if not self.back:
            raise RetryLater("away", after=0.2)
        self.taken += [event.event_id for event in events]


class Poisoned:
    """Refuses what holds one event; counts the calls."""

    name = "poisoned"

    def __init__(self, error: type[Exception]) -> None:
        self._error = error
        self.calls = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Refuse the poisonous one and its company."""
        self.calls += 1
        if any("poison" in event.payload for event in events):
            raise self._error


class Slow:
    """Takes a millisecond an event."""

    name = "slow"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Sleep."""
        time.sleep(0.001 * len(events))


class Busy:
    """Never lets go of the interpreter, but for its switch interval, until it is told to rest."""

    name = "busy"

    def __init__(self) -> None:
        self.rests = False

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Compute."""
        if self.rests:
            return
        for _ in itertools.repeat(None, 20_000 * len(events)):
            pass


@define(eq=False)
class Small:
    """Takes few events at once, and raises at some calls, whatever it is given."""

    most: int = 512
    moods: set[int] = field(factory=set)
    name: str = "small"
    calls: int = 0
    taken: int = 0

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.calls += 1
        if self.calls in self.moods:
            raise ValueError("500")
        if len(events) > self.most:
            raise Reject("413")
        self.taken += len(events)


@define(eq=False)
class Impatient:
    """Asks to be called again without a pause."""

    after: float
    name: str = "busy"
    calls: int = 0

    @hookimpl
    def export_events(self) -> None:
        self.calls += 1
        raise RetryLater("busy", after=self.after)


@define(eq=False)
class Awaiting:
    """Hangs in an await at its first call."""

    name: str = "awaiting"
    calls: int = 0
    taken: int = 0

    @hookimpl
    async def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        self.calls += 1
        if self.calls == 1:
            await asyncio.sleep(3_600)
        self.taken += len(events)


def unique_names(number: int) -> dict[str, Any]:
    """Give a session and an agent that nobody else has."""
    return {"session_id": f"session-{number:09d}", "agent_did": f"did:mesh:agent-{number:09d}"}
