"""What every part of the contract of sources needs: the framework, and what was seen of it."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeAlias
from unittest import SkipTest

from ..causality.standing import leave, standing
from ..config import Config
from ..host.observability import Observability
from .payloads import check_payloads
from .source_outcomes import Outcome
from .source_pieces import Seen
from .source_samples import REQUEST
from .source_scripts import AgentScript

Way: TypeAlias = Literal["run", "run_async", "stream"]
WAYS: tuple[Way, ...] = ("run", "run_async", "stream")

SCENARIOS = frozenset(
    {
        *WAYS,
        "agent_as_tool",
        "async_tools",
        "cancel",
        "handoff",
        "parallel_runs",
        "parallel_tools",
        "refusal",
    }
)
"""What a framework may lack: ways to run agents, and what agents do."""

WIDE_SECONDS = 60.0
"""Longest time for what takes no time where nothing else runs."""


def _lacked(self: "SourceTests", *_: object) -> NoReturn:
    raise AssertionError(f"a test asks {type(self).__name__} for what its framework lacks")


class SourceTests(ABC):
    """Tests of a source, which say how its framework runs agents.

    Attributes:
        lacks: What the framework cannot do, by scenario, and why. Its tests are skipped, and pytest
            prints the reason (``-rs``). A way to run agents that it lacks need not be written; a
            class that has neither cannot be made.
        abandoned_streams: How many streams are left half read, or as many as a minute allows. Where
            the framework needs longer, take fewer, and say why beside it.
        patience_seconds: How long work may go on after a run was cancelled, or a stream abandoned.
    """

    lacks: Mapping[str, str] = {}
    abandoned_streams: int = 10_000
    patience_seconds: float = 30.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for way in WAYS:
            if way in cls.lacks and getattr(getattr(cls, way), "__isabstractmethod__", False):
                setattr(cls, way, _lacked)

    @abstractmethod
    def make_source(self) -> object:
        """Make the plugin."""

    @abstractmethod
    def run(self, agent: AgentScript, request: str) -> object:
        """Have the framework run agents that are made anew for it, with models that answer as the
        script says, in the calling thread. Give the answer, as the framework's user gets it.
        """

    @abstractmethod
    async def run_async(self, agent: AgentScript, request: str) -> object:
        """Do the same by the framework's asynchronous way."""

    @abstractmethod
    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        """Give what the framework streams of such a run, one by one."""

    def run_refused(self, agent: AgentScript, request: str) -> object:
        """Have the framework run agents as ``run`` does, and refuse the first call of a tool by its
        own means, so that the tool is not called.

        Raises:
            SkipTest: Nobody has said how.
        """
        why = "run_refused() is not written: no refused tool was tried"
        raise SkipTest(f"{why} with {agent.name} ({request})")

    def config(self) -> Config:
        """Give what the source runs with, where it needs more than the defaults."""
        return Config()

    # What a test needs

    def needs(self, *scenarios: str) -> None:
        """Leave out a test if the framework lacks one of the *scenarios* that it plays.

        Raises:
            SkipTest: It does; pytest takes that for a skip.
        """
        unknown = self.lacks.keys() - SCENARIOS
        assert not unknown, f"lacks: {sorted(unknown)} are not scenarios: {sorted(SCENARIOS)} are"
        for scenario in scenarios:
            if scenario in self.lacks:
                raise SkipTest(f"the framework lacks {scenario}: {self.lacks[scenario]}")

    def ways(self, *of: Way) -> list[Way]:
        """Give the ways to run agents that the framework has: all, or those *of* them.

        Raises:
            SkipTest: It has none of them.
        """
        found = [way for way in of or WAYS if way not in self.lacks]
        if not found:
            self.needs(*of)
        return found

    def play(self, way: Way, agent: AgentScript, request: str = REQUEST) -> Outcome:
        """Run agents in one *way*, to the end, and tell how that went."""
        if way == "run":
            return Outcome.of(lambda: self.run(agent, request))
        if way == "run_async":
            return Outcome.of(lambda: asyncio.run(self._awaited(agent, request)))
        return Outcome.of(lambda: asyncio.run(self._streamed(agent, request)))

    def played(self, way: Way, agent: AgentScript, request: str = REQUEST) -> Any:
        """Run agents in one *way*, and give the answer.

        Raises:
            BaseException: What the framework raised.
        """
        outcome = self.play(way, agent, request)
        if outcome.error is not None:
            raise outcome.error
        return outcome.answer

    async def _awaited(self, agent: AgentScript, request: str) -> object:
        return await self.run_async(agent, request)

    async def _streamed(self, agent: AgentScript, request: str) -> list[object]:
        return [part async for part in self.stream(agent, request)]

    @contextmanager
    def observed(self, *readers: object, **chosen: object) -> Iterator[Observability]:
        """Run a process's observability with the source. It may make no faults.

        Args:
            readers: Plugins beside it.
            chosen: What its table says of ``content`` and ``agents``.
        """
        source = self.make_source()
        with back_here(), _chosen(source, chosen), faultless():
            with Observability(self.config(), plugins=[source, *readers]) as observability:
                yield observability
            for name, status in observability.status()["sources"].items():
                assert not status["errors"], f"callbacks of source {name} have raised: see the log"

    def watch(self, way: Way, agent: AgentScript) -> Seen:
        """Run agents in one *way*, to a good end, and give what was seen of it."""
        with self.observed() as observability:
            self.played(way, agent)
            return self.seen(observability)

    def seen(self, observability: Observability) -> Seen:
        """Give what was seen so far, in which nothing may be wrong that is wrong in every run.

        Raises:
            AssertionError: Something is.
        """
        for name in observability.status()["sources"]:
            state = observability.states()[name]
            assert state == "running", f"source {name} is {state}: see its targets and supports"
        seen = Seen.of(observability.bus.all_events)
        check_seen(seen)
        return seen


def check_seen(seen: Seen) -> None:
    """Check what holds of every run.

    Raises:
        AssertionError: It does not hold.
    """
    text = seen.text()
    assert seen.pieces, "nothing was seen of the run"
    check_payloads(seen.events)
    assert not seen.stray, f"something ended that has not begun:\n{text}"
    for piece in seen.pieces:
        assert piece.ends, f"{piece} has not ended: what is opened is closed, always\n{text}"
        assert len(piece.ends) == 1, f"{piece} has ended {len(piece.ends)} times\n{text}"
        assert not piece.is_orphan, f"{piece} stands below what nobody has seen begin\n{text}"


@contextmanager
def back_here() -> Iterator[None]:
    """Return to where the code stood: what one test leaves behind is no fault of the next."""
    before = standing()
    try:
        yield
    finally:
        while (here := standing()) is not before and here.outer is not None:
            leave(here)


@contextmanager
def _chosen(source: object, chosen: Mapping[str, object]) -> Iterator[None]:
    """Have a source say what its table would, for a while."""
    kept = {name: vars(type(source)).get(name) for name in chosen}
    in_class = []
    for name, value in chosen.items():
        try:
            setattr(source, name, value)
        except AttributeError:  # it has slots, or is frozen
            setattr(type(source), name, value)
            in_class.append(name)
    try:
        yield
    finally:
        for name in in_class:
            if kept[name] is None:
                delattr(type(source), name)
            else:
                setattr(type(source), name, kept[name])


@contextmanager
def faultless() -> Iterator[None]:
    """Have nothing logged by this package meanwhile: that would be a fault of the source.

    Raises:
        AssertionError: Something was.
    """
    told = _Told()
    logger = logging.getLogger("hypervisor_observability")
    logger.addHandler(told)
    try:
        yield
    finally:
        logger.removeHandler(told)
    assert not told.lines, "\n".join(
        ["the source has made faults, which were logged:", *told.lines]
    )


class _Told(logging.Handler):
    """Keeps the lines of warnings and worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


_FEW = 20
"""How often the event loop gets its turn at least, however slow the machine is."""


async def settled(is_so: Callable[[], bool], patience_seconds: float) -> None:
    """Wait in an event loop until something *is so*; the caller looks whether it is."""
    deadline = time.monotonic() + patience_seconds
    rounds = 0
    while not is_so() and (rounds < _FEW or time.monotonic() < deadline):
        rounds += 1
        await asyncio.sleep(0.005)
