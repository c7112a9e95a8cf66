"""What a source sees of runs that go on at the same time: they do not mix."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..causality.current_trace import current_trace
from ..host.observability import Observability
from .source_pieces import Seen
from .source_samples import REQUEST, Tool, agent_as_tool, one_tool
from .source_scripts import AgentScript, CallTools
from .source_tests import SourceTests

_TOGETHER = 4
_PATIENCE_SECONDS = 2.0
"""How long a tool waits for those of the other runs; a framework may run one at a time."""


class ParallelContract(SourceTests):
    """What a source sees of runs that go on at the same time."""

    def test_runs_in_threads_do_not_mix(self) -> None:
        """The same agents, in a pool of threads."""
        self.needs("run", "parallel_runs")
        with self.observed() as observability:
            scripts = self._scripts(_meeting_in_threads(observability), 3 * _TOGETHER)
            left = _in_threads(scripts, lambda one: self.run(one, REQUEST))
            seen = self.seen(observability)
        _check_runs(seen, scripts)
        assert left == {None}, "a thread of a pool is left where it was: leave what you enter"

    def test_runs_in_tasks_do_not_mix(self) -> None:
        """The same agents, in tasks of one event loop."""
        self.needs("run_async", "parallel_runs")
        with self.observed() as observability:
            scripts = self._scripts(self._meeting_in_tasks(observability), 3 * _TOGETHER)

            async def main() -> None:
                await asyncio.gather(*(self.run_async(one, REQUEST) for one in scripts))

            asyncio.run(main())
            seen = self.seen(observability)
        _check_runs(seen, scripts)

    def test_runs_in_loops_of_many_threads_do_not_mix(self) -> None:
        """The same agents, each in an event loop of its own."""
        self.needs("run_async", "parallel_runs")
        with self.observed() as observability:
            scripts = self._scripts(_meeting_in_threads(observability), _TOGETHER)
            left = _in_threads(scripts, lambda one: asyncio.run(self._awaited(one, REQUEST)))
            seen = self.seen(observability)
        _check_runs(seen, scripts)
        assert left == {None}, "a thread of a pool is left where it was: leave what you enter"

    def _scripts(self, tool: Tool, number: int) -> list[AgentScript]:
        make = one_tool if "agent_as_tool" in self.lacks else agent_as_tool
        # When a tool is called for the second time, the agents of the other runs are at work.
        return [make(tool, number=one, times=2) for one in range(number)]

    def _meeting_in_tasks(self, observability: Observability) -> Tool:
        async def look_up(city: str) -> str:
            """Look up the weather of a city."""
            for _ in range(5):
                await asyncio.sleep(0.001)
            observability.recorder.vfs.write(f"/{city}")
            return city

        return _meeting_in_threads(observability) if "async_tools" in self.lacks else look_up


def _meeting_in_threads(observability: Observability) -> Tool:
    barrier = threading.Barrier(_TOGETHER)

    def look_up(city: str) -> str:
        """Look up the weather of a city."""
        with suppress(threading.BrokenBarrierError):
            barrier.wait(_PATIENCE_SECONDS)
        observability.recorder.vfs.write(f"/{city}")
        return city

    return look_up


def _in_threads(
    scripts: Sequence[AgentScript], run: Callable[[AgentScript], object]
) -> set[object]:
    """Run *scripts* in a pool of threads; give under which traces they leave these."""

    def do(script: AgentScript) -> object:
        run(script)
        return current_trace()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds; else a callback hardly ever meets another
    try:
        with ThreadPoolExecutor(_TOGETHER) as pool:
            return set(pool.map(do, scripts))
    finally:
        sys.setswitchinterval(interval)


def _check_runs(seen: Seen, scripts: Sequence[AgentScript]) -> None:
    """Check that each run is a tree of its own, with what it did and no more."""
    text = seen.text()
    assert len(seen.roots) == len(scripts), (
        f"{len(scripts)} runs are {len(scripts)} trees, not {len(seen.roots)}\n{text}"
    )
    for number, script in enumerate(scripts):
        path = f"/city-{number}"
        owners = [
            seen.owner(one) for one in seen.points("vfs.write") if one.payload["path"] == path
        ]
        calls = [None if one is None else one.call_id for one in owners]
        right = [f"call-{number}-1", f"call-{number}-2"]
        assert calls == right, (
            f"what the tool of run {number} has written stands below its calls {right}, not below"
            f" {calls}\n{text}"
        )
        below = Counter(piece.kind for owner in owners if owner for piece in owner.root.within())
        counts = {kind: count // len(owners) for kind, count in below.items()}
        for kind, count in _right_counts(script).items():
            assert counts.get(kind) == count, (
                f"run {number} has {count} of {kind} below it, not {counts.get(kind)}\n{text}"
            )


def _right_counts(script: AgentScript) -> dict[str, int]:
    agents = list(script.all())
    turns = [turn for one in agents for turn in one.turns]
    calls = [len(turn.calls) for turn in turns if isinstance(turn, CallTools)]
    return {"agent": len(agents), "tool": sum(calls), "model": len(turns)}
