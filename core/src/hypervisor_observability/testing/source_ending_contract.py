"""What a source sees of runs that do not go well: errors, refusals, cancellations."""

import asyncio
from collections.abc import Awaitable

from .source_pieces import Seen
from .source_samples import (
    BROKEN_MODEL,
    BROKEN_TOOL,
    REQUEST,
    fail_to_look_up,
    model_fails,
    model_stalls,
    one_tool,
)
from .source_scripts import AgentScript
from .source_tests import WIDE_SECONDS, SourceTests, settled


class EndingContract(SourceTests):
    """What a source sees of runs that do not go well."""

    def test_tool_that_raises_has_failed(self) -> None:
        """The tool is an error that says why; the agent is one if the run is."""
        for way in self.ways():
            with self.observed() as observability:
                outcome = self.play(way, one_tool(fail_to_look_up))
                seen = self.seen(observability)
            tool = seen.one("tool", "fail_to_look_up")
            told = f"{way}: {tool} has raised\n{seen.text()}"
            assert tool.status == "error", f"{told}\nits status is error, not {tool.status}"
            why = f"{tool.end.payload.get('error')} {tool.end.payload.get('reason')}"
            assert BROKEN_TOOL in why, f"{told}\nits error says why, not {why!r}"
            _check_agent(seen, "ok" if outcome.error is None else "error")

    def test_model_that_raises_has_failed(self) -> None:
        """So has its agent, if the run has."""
        for way in self.ways():
            with self.observed() as observability:
                outcome = self.play(way, model_fails())
                seen = self.seen(observability)
            models = seen.all("model")
            assert models, f"{way}: the call of the model was seen\n{seen.text()}"
            told = f"{way}: each call of the model has raised\n{seen.text()}"
            for model in models:
                assert model.status == "error", f"{told}\nits status is error, not {model.status}"
                why = f"{model.end.payload.get('error')} {model.end.payload.get('reason')}"
                assert BROKEN_MODEL in why, f"{told}\nits error says why, not {why!r}"
            _check_agent(seen, "ok" if outcome.error is None else "error")

    def test_refused_tool_is_blocked(self) -> None:
        """What was not allowed has not failed."""
        self.needs("refusal")
        with self.observed() as observability:
            self.run_refused(one_tool(), REQUEST)
            seen = self.seen(observability)
        tools = seen.all("tool", "look_up")
        assert tools, f"the tool that was refused is seen\n{seen.text()}"
        assert tools[0].status == "blocked", (
            f"the status of a tool that was refused is blocked, not {tools[0].status}"
        )

    def test_cancelled_tool_is_cancelled_and_so_is_its_agent(self) -> None:
        """CancelledError is no Exception: callbacks for errors often miss it."""
        self.needs("run_async", "cancel", "async_tools")
        begun = asyncio.Event()

        async def wait_long(city: str) -> str:
            """Look up the weather of a city."""
            begun.set()
            await asyncio.sleep(10 * WIDE_SECONDS)
            return city

        seen = self._cancelled(one_tool(wait_long), begun)
        tool = seen.one("tool", "wait_long")
        assert tool.status == "cancelled", f"{tool} was cancelled\n{seen.text()}"
        _check_agent(seen, "cancelled")

    def test_cancelled_model_is_cancelled_and_so_is_its_agent(self) -> None:
        """The tool before it is not."""
        self.needs("run_async", "cancel")
        script, stall = model_stalls()
        seen = self._cancelled(script, stall.begun)
        last = seen.all("model")[-1]
        assert last.status == "cancelled", f"{last} was cancelled\n{seen.text()}"
        tool = seen.one("tool", "look_up")
        assert tool.status == "ok", f"{tool} was over by then\n{seen.text()}"
        _check_agent(seen, "cancelled")

    def _cancelled(self, script: AgentScript, begun: asyncio.Event) -> Seen:
        """Cancel a run once something has *begun*, and give what was seen."""

        async def main() -> Seen:
            with self.observed() as observability:
                run = asyncio.ensure_future(self._awaited(script, REQUEST))
                await _first(begun.wait(), run)
                if not begun.is_set():
                    await run
                    raise AssertionError("the run has ended before it came to what is cancelled")
                run.cancel()
                await asyncio.wait([run], timeout=WIDE_SECONDS)
                assert run.done(), "a run that was cancelled ends"
                if not run.cancelled():
                    run.exception()  # as the framework has it; the results are compared elsewhere
                bus = observability.bus
                await settled(lambda: not Seen.of(bus.all_events).still_open, self.patience_seconds)
                return self.seen(observability)

        return asyncio.run(main())


async def _first(*waits: Awaitable[object]) -> None:
    """Wait until one of them is done."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    await asyncio.wait(tasks, timeout=WIDE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not tasks[0].done():
        tasks[0].cancel()


def _check_agent(seen: Seen, status: str) -> None:
    """Check how the agent, and all that holds it, has ended."""
    agent = seen.one("agent", "researcher")
    for piece in (agent, *agent.above()):
        assert piece.status == status, (
            f"{piece} has the status {piece.status}: after this it is {status}\n{seen.text()}"
        )
