"""What the application notices of a source: nothing, while it is on and after."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

from ..host.observability import Observability
from ..recorder import Recorder
from ..sources import SourceContext
from .source_outcomes import Outcome
from .source_samples import (
    agent_as_tool,
    fail_to_look_up,
    hand_off,
    model_fails,
    one_tool,
    two_tools,
)
from .source_scripts import AgentScript
from .source_snapshot import Snapshot
from .source_tests import SourceTests, Way, back_here

Make = Callable[[], AgentScript]

_SCRIPTS: dict[str, Make] = {
    "run": one_tool,
    "parallel_tools": two_tools,
    "agent_as_tool": agent_as_tool,
    "handoff": hand_off,
    "a tool that raises": lambda: one_tool(fail_to_look_up),
    "a model that raises": model_fails,
}
_WRITES = (
    "open", "close", "point", "inside", "run", "agent", "tool", "model", "step", "saga", "session",
    "handoff", "record",
)  # fmt: skip


class HarmlessContract(SourceTests):
    """What the application notices of a source: nothing."""

    def test_application_gets_what_it_gets_without_the_source(self) -> None:
        """Answers, their types, exceptions, what they came of, and tracebacks."""
        for way, name, make in self._plays():
            plain, again = self.play(way, make()), self.play(way, make())
            with self.observed():
                seen = self.play(way, make())
            seen.check_like(plain, exactly=_equal(plain, again), when=f"{way}, {name}")

    def test_fault_of_recording_reaches_no_application(self) -> None:
        """Whatever a callback calls may raise: have ``context.guarded`` around each of them."""
        self._check_broken(Recorder, _WRITES)

    def test_fault_of_the_context_reaches_no_application(self) -> None:
        """Nor does one of what a callback asks its context."""
        self._check_broken(SourceContext, ("content_of", "did_of", "observed_elsewhere"))

    def _check_broken(self, broken: type, methods: tuple[str, ...]) -> None:
        for way, name, make in self._plays():
            plain, again = self.play(way, make()), self.play(way, make())
            with (
                back_here(),
                Observability(self.config(), plugins=[self.make_source()]),
                _raising(broken, methods),
            ):
                seen = self.play(way, make())
            seen.check_like(plain, exactly=_equal(plain, again), when=f"{way}, {name}, broken")

    def test_framework_is_afterwards_as_it_was_before(self) -> None:
        """Functions, classes, and what is registered somewhere."""
        way = self.ways()[0]
        targets = tuple(getattr(self.make_source(), "targets", ()))
        for _ in range(2):  # what is made at the first use is made by then
            with self.observed():
                self.played(way, one_tool())
        before = Snapshot.of(targets)
        with self.observed():
            pass
        changed = before.changes_in(Snapshot.of(targets))
        assert not changed, f"uninstrument() leaves these other than they were: {changed[:5]}"

    def test_what_a_source_replaces_looks_as_it_did(self) -> None:
        """Others inspect functions, too: keep names, parameters, and which are coroutines'."""
        way = self.ways()[0]
        targets = tuple(getattr(self.make_source(), "targets", ()))
        self.played(way, one_tool())
        before = Snapshot.of(targets)
        with self.observed():
            meanwhile = Snapshot.of(targets)
        paths = before.changes_in(meanwhile)
        was, now = before.looks_of(paths), meanwhile.looks_of(paths)
        other = [
            f"{path}: {was[path]} is now {now.get(path)}"
            for path in was
            if was[path] != now.get(path)
        ]
        assert not other, f"use functools.wraps: {other[:5]}"

    def test_nothing_is_seen_after_uninstrument(self) -> None:
        """Callbacks that a framework cannot forget do nothing any more: ``context.guarded``."""
        for way in self.ways():
            with self.observed() as observability:
                self.played(way, one_tool())
            count = observability.bus.emitted
            self.played(way, one_tool())
            late = observability.bus.emitted - count
            assert not late, f"{way}: {late} events came after uninstrument(): take back everything"

    def test_run_is_seen_once_however_often_a_source_was_on(self) -> None:
        """Instrument, uninstrument and again: nothing adds up."""
        way = self.ways()[0]
        counts = []
        for _ in range(3):
            with self.observed() as observability:
                self.played(way, one_tool())
                seen = self.seen(observability)
                counts.append(len(seen.events))
        assert len(set(counts)) == 1, f"the same run gives {counts} events, one time after another"

    def test_run_is_seen_once_where_there_are_two_observabilities(self) -> None:
        """The first has the source, in the second it is down."""
        way = self.ways()[0]
        with (
            back_here(),
            Observability(self.config(), plugins=[self.make_source()]) as first,
            Observability(self.config(), plugins=[self.make_source()]) as second,
        ):
            self.played(way, one_tool())
            self.seen(first)
            assert not second.bus.emitted, "what another Observability sees is seen there alone"

    def _plays(self) -> Iterator[tuple[Way, str, Make]]:
        for way in self.ways():
            for name, make in _SCRIPTS.items():
                if name in ("run", way) or name not in self.lacks:
                    yield way, name, make


def _equal(one: Outcome, other: Outcome) -> bool:
    try:
        return bool(one.answer == other.answer)
    except Exception:  # noqa: BLE001 - a framework's own comparison
        return False


@contextmanager
def _raising(broken: type, methods: tuple[str, ...]) -> Iterator[None]:
    """Have *methods* of a class raise."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("broken by the contract of sources: this must reach nobody")

    with ExitStack() as stack:
        for name in methods:
            stack.enter_context(patch.object(broken, name, fail))
        yield
