"""What every part of the contract of stores needs: the store, and events to be known again."""

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..config import Config, DeliveryConfig
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..host.agent import Agent
from ..host.observability import Observability
from ..stores import Entry, History, HistoryContext

FAST = DeliveryConfig(interval_seconds=0.01)
NUMBER = "number_in_store_contract"
WIDE_SECONDS = 60.0
"""Longest time for what takes no time where nothing else runs."""
SHORT_SECONDS = 0.3
"""For what is not to happen."""


class StoreTests(ABC):
    """Tests of a store, which say how it is made."""

    @abstractmethod
    def plugin(self, place: Path) -> object:
        """Make a plugin whose store is at *place*: a directory of the test's own, or what stands
        for one. Each plugin for the same place sees what the others have recorded there.
        """

    @abstractmethod
    def unreadable(self, place: Path) -> AbstractContextManager[None]:
        """Have all reading at *place* fail for a while, as when a disk or a server is away.

        Recording goes on; what is already known need not be forgotten.
        """

    # What a test needs

    @contextmanager
    def observed(
        self, place: Path, *readers: object, config: Config | None = None
    ) -> Iterator[Observability]:
        """Run a process's observability with the store at *place*."""
        plugins = [self.plugin(place), *readers]
        with Observability(config or config_of(), plugins=plugins) as observability:
            yield observability

    @contextmanager
    def agent(self, place: Path, *readers: object) -> Iterator[Agent]:
        """Run an agent over the store at *place*."""
        with Agent(config_of(), plugins=[self.plugin(place), *readers]) as agent:
            yield agent

    @contextmanager
    def history(self, place: Path, notices: list[str] | None = None) -> Iterator[History]:
        """Ask the store at *place*; what cannot be read is a failure unless *notices* takes it."""
        told: list[str] = []
        plugin: Any = self.plugin(place)
        context = HistoryContext(notice=(told if notices is None else notices).append)
        with closing(plugin.open_history(context)) as history:
            yield history
        assert told == []


def in_child(work: Callable[[], bool]) -> bool:
    """Do *work* in a fork's child, which then ends; tell what it gave, False if it raised."""
    with warnings.catch_warnings():
        # Of a fork beside threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)  # whatever it raised: the tests are the parent's
    return os.waitpid(child, 0)[1] == 0


def config_of(**options: Any) -> Config:
    """Give a configuration that delivers at once."""
    return Config(delivery=FAST, stop_timeout_seconds=10, **options)


def emit(bus: HypervisorEventBus, number: int) -> HypervisorEvent:
    """Emit an event of which each property can be asked for."""
    return bus.record(
        EventType.RING_BREACH_DETECTED if number % 2 else EventType.VFS_WRITE,
        session_id=f"session-{number % 4}",
        agent_did=f"did:agent:{number % 3}",
        causal_trace_id=f"{number % 5:012x}/00000001" if number % 5 else None,
        payload={NUMBER: number, "ring": 3, "nested": {"list": [1, None, "ä"]}},
    )


def until(condition: Callable[[], object]) -> bool:
    """Wait until *condition* is true; tell whether it is.

    Recorded events may reach a store on a network a moment later.
    """
    deadline = time.monotonic() + WIDE_SECONDS
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def is_of_test(event: HypervisorEvent) -> bool:
    """Tell an event of ``emit`` from those of a store."""
    return NUMBER in event.payload


def of_test(entries: Iterator[Entry] | Sequence[Entry]) -> list[Entry]:
    """Leave out what a store emits itself."""
    return [entry for entry in entries if is_of_test(entry.event)]


def numbers_of(events: Sequence[HypervisorEvent]) -> list[Any]:
    """Give the numbers of the events of ``emit``."""
    return [event.payload[NUMBER] for event in events if is_of_test(event)]


def breaches_of(agent: Agent) -> float:
    """Give how many breaches the agent's metrics count in all: 0 while it owns no part."""
    name = "agent_hypervisor_ring_breaches_by_agent_total"
    families = [family for family in agent.collect_metrics() if family.name == name]
    return sum(value for family in families for value in family.series.values())
