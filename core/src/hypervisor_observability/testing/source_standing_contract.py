"""How a source goes with recorder calls of the application: they nest, and nothing is left over."""

import asyncio
from collections.abc import Callable

from ..causality.current_trace import current_trace
from ..host.observability import Observability
from ..recorder.place import current_place
from .source_pieces import Seen
from .source_samples import REQUEST, Tool, fail_to_look_up, one_tool, two_tools
from .source_tests import SourceTests, Way

Maker = Callable[[Observability], Tool]


class StandingContract(SourceTests):
    """How a source goes with recorder calls of the application."""

    def test_what_a_tool_records_stands_below_it(self) -> None:
        """Its own ``recorder.vfs.write``, say, which is work of its agent."""
        for way in self.ways():
            self._check_writes(way, _writing, ("city-0",))

    def test_what_an_asynchronous_tool_records_stands_below_it(self) -> None:
        """Before and after it has waited."""
        self.needs("async_tools")
        for way in self.ways("run_async", "stream"):
            self._check_writes(way, writing_async, ("city-0",))

    def test_what_tools_record_that_are_called_at_once_stands_below_each(self) -> None:
        """They may share a thread, or a context."""
        self.needs("parallel_tools")
        for way in self.ways():
            self._check_writes(way, _writing, ("oslo", "bergen"))
        if "async_tools" not in self.lacks:
            for way in self.ways("run_async", "stream"):
                self._check_writes(way, writing_async, ("oslo", "bergen"))

    def test_run_stands_below_the_scope_that_the_application_is_in(self) -> None:
        """What has no parent in the framework takes ``HERE``."""
        for way in self.ways():
            with self.observed() as observability:
                with observability.recorder.run("job"):
                    self.played(way, one_tool())
                seen = self.seen(observability)
            job = seen.one("run", "job")
            assert seen.roots == [job], (
                f"{way}: the run stands below the application's own: open what has no parent with"
                f" parent_key=HERE\n{seen.text()}"
            )

    def test_no_context_is_left_behind(self) -> None:
        """The code after a run stands where it stood, whether the run went well or not."""
        for way in self.ways():
            for script in (one_tool(), one_tool(fail_to_look_up)):
                with self.observed() as observability:
                    with observability.recorder.run("job"):
                        before = _here()
                        self.play(way, script)
                        assert _here() == before, f"{way}: {_LEFT}"
                    assert current_trace() is None

    def test_no_context_is_left_behind_in_a_task(self) -> None:
        """Nor between the parts of a stream, nor after one that was left early."""
        ways = self.ways("run_async", "stream")

        async def main(observability: Observability) -> None:
            with observability.recorder.run("job"):
                before = _here()
                if "run_async" in ways:
                    await self.run_async(one_tool(), REQUEST)
                    assert _here() == before, f"run_async: {_LEFT}"
                if "stream" not in ways:
                    return
                async for _ in self.stream(one_tool(), REQUEST):
                    assert _here() == before, (
                        f"between the parts of a stream, {_LEFT}; a generator's context is that of"
                        " its reader: activate tools alone"
                    )
                assert _here() == before, f"after a stream, {_LEFT}"
                async for _ in self.stream(one_tool(), REQUEST):
                    break
                assert _here() == before, f"after a stream that was left early, {_LEFT}"

        with self.observed() as observability:
            asyncio.run(main(observability))

    def _check_writes(self, way: Way, make: Maker, cities: tuple[str, ...]) -> None:
        with self.observed() as observability:
            tool = make(observability)
            self.played(way, one_tool(tool) if len(cities) == 1 else two_tools(tool))
            seen = self.seen(observability)
        for city in cities:
            _check_write(seen, way, city)


_LEFT = "the running code is left in another place than it was: leave what you enter"


def _here() -> object:
    return current_trace(), current_place()


def _check_write(seen: Seen, way: Way, city: str) -> None:
    text = seen.text()
    events = [one for one in seen.points("vfs.write") if city in one.payload["path"]]
    assert events, f"{way}: the tool for {city} was called\n{text}"
    call_id = "call-0-1" if city == "city-0" else f"call-{city}"
    for event in events:
        owner = seen.owner(event)
        found = owner is not None and owner.call_id == call_id
        assert found, (
            f"{way}: what the tool for {city} has recorded stands below {owner or 'nothing'}: have"
            f" the code of a tool stand in it (activate=True, or recorder.inside(key))\n{text}"
        )
        assert event.agent_did == "researcher", (
            f"{way}: what a tool records is work of its agent, not of {event.agent_did}"
        )


def _writing(observability: Observability) -> Tool:
    def look_up(city: str) -> str:
        """Look up the weather of a city."""
        observability.recorder.vfs.write(f"/{city}")
        return city

    return look_up


def writing_async(observability: Observability) -> Tool:
    """Make a tool that runs asynchronously and records a write to the path of its city."""

    async def look_up(city: str) -> str:
        """Look up the weather of a city."""
        observability.recorder.vfs.write(f"/{city}/before")
        for _ in range(3):
            await asyncio.sleep(0.001)
        observability.recorder.vfs.write(f"/{city}/after")
        return city

    return look_up
