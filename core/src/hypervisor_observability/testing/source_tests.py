"""What every part of the contract of sources needs: the framework, and what was seen of it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import SkipTest

from ..config import Config
from ..host.observability import Observability
from .payloads import check_payloads
from .source_pieces import Seen
from .source_scripts import AgentScript

SCENARIOS = frozenset({"run", "run_async", "stream"})
"""What a framework may lack."""


class SourceTests(ABC):
    """Tests of a source, which say how its framework runs agents.

    Attributes:
        lacks: What the framework cannot do, by scenario, and why. Its tests are skipped, and pytest
            prints the reason.
    """

    lacks: Mapping[str, str] = {}

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

    # What a test needs

    def needs(self, *scenarios: str) -> None:
        """Leave out a test if the framework lacks one of the *scenarios* that it plays.

        Raises:
            SkipTest: It does; pytest takes that for a skip.
        """
        for scenario in scenarios:
            assert scenario in SCENARIOS, f"{scenario!r} is not a scenario"
            if scenario in self.lacks:
                raise SkipTest(f"the framework lacks {scenario}: {self.lacks[scenario]}")

    @contextmanager
    def observed(self) -> Iterator[Observability]:
        """Run a process's observability with the source."""
        with Observability(Config(), plugins=[self.make_source()]) as observability:
            yield observability

    @contextmanager
    def faultless(self) -> Iterator[None]:
        """Have nothing logged by this package meanwhile: that would be a fault of the source."""
        told = _Told()
        logger = logging.getLogger("hypervisor_observability")
        logger.addHandler(told)
        try:
            yield
        finally:
            logger.removeHandler(told)
        assert not told.lines, "\n".join(
            ["the source has made faults, which are logged:", *told.lines]
        )

    def seen(self, observability: Observability) -> Seen:
        """Give what was seen so far, in which nothing may be wrong that is wrong in every run.

        Raises:
            AssertionError: Something is.
        """
        for name, state in observability.states().items():
            assert state == "running", (
                f"source {name} is {state}: what it waits for is its 'targets'"
            )
        for name, status in observability.status()["sources"].items():
            assert not status["errors"], f"callbacks of source {name} have raised: see the log"
        seen = Seen.of(observability.bus.all_events)
        text = seen.text()
        assert seen.pieces, "nothing was seen of the run"
        check_payloads(seen.events)
        assert not seen.stray, f"ends without a beginning:\n{text}"
        for piece in seen.pieces:
            assert piece.ends, (
                f"{piece} has not ended: something that was opened is never closed\n{text}"
            )
            assert len(piece.ends) == 1, f"{piece} has ended {len(piece.ends)} times\n{text}"
            trace: Any = piece.start.causal_trace_id
            orphaned = piece.parent is None and len(str(trace).split("/")) > 2
            assert not orphaned, f"{piece} stands below what nobody has seen begin\n{text}"
        return seen


class _Told(logging.Handler):
    """Keeps the lines of warnings and worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
