"""What a source sees of runs that go on at the same time: they do not mix."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..causality.current_trace import current_trace
from ..host.observability import Observability
from .source_pieces import Seen
from .source_samples import REQUEST, Tool, agent_as_tool, one_tool
from .source_scripts import AgentScript
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
        return [make(tool, number=one) for one in range(number)]

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

    with ThreadPoolExecutor(_TOGETHER) as pool:
        return set(pool.map(do, scripts))


def _check_runs(seen: Seen, scripts: Sequence[AgentScript]) -> None:
    """Check that each run is a tree of its own, with what it did and no more."""
    text = seen.text()
    assert len(seen.roots) == len(scripts), (
        f"{len(scripts)} runs are {len(scripts)} trees, not {len(seen.roots)}\n{text}"
    )
    for number, script in enumerate(scripts):
        events = [
            one for one in seen.points("vfs.write") if one.payload["path"] == f"/city-{number}"
        ]
        assert len(events) == 1, f"run {number} has written one file, not {len(events)}\n{text}"
        tool = seen.owner(events[0])
        assert tool is not None, f"what the tool of run {number} writes stands below it\n{text}"
        call_id = tool.start.payload.get("call_id")
        assert call_id == f"call-{number}-1", (
            f"what the tool of run {number} has written stands below another one, {call_id}\n{text}"
        )
        below = [one.kind for one in [*tool.above()][-1].within()]
        agents = list(script.all())
        right = {
            "agent": len(agents),
            "tool": len(agents),
            "model": sum(len(one.turns) for one in agents),
        }
        for kind, count in right.items():
            assert below.count(kind) == count, (
                f"run {number} has {count} of {kind} below it, not {below.count(kind)}\n{text}"
            )
