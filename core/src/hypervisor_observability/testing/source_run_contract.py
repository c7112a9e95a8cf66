"""What a source sees of runs that go well."""

import time
from collections import Counter
from itertools import pairwise

from ..events import clock
from ..events.event_types import AGENT_HANDOFF
from ..host.observability import Observability
from ..metrics.usage import TOKENS
from .source_pieces import Piece, Seen
from .source_samples import (
    Tool,
    agent_as_tool,
    hand_off,
    look_up,
    look_up_async,
    one_tool,
    two_tools,
)
from .source_scripts import AgentScript, Fail, Stall
from .source_tests import SourceTests, Way

_CLOCKS_DIFFER_SECONDS = 3600
"""A source may take times over from a clock that is set meanwhile."""


class RunContract(SourceTests):
    """What a source sees of runs that go well."""

    def test_run_is_seen(self) -> None:
        """One agent, its tool, and each call of its model, below each other in one tree."""
        self.needs("run")
        self._check_one_tool("run")

    def test_async_run_is_seen(self) -> None:
        """The same by the framework's asynchronous way, with a tool of either sort."""
        self.needs("run_async")
        self._check_one_tool("run_async")
        if "async_tools" not in self.lacks:
            self._check_one_tool("run_async", look_up_async)

    def test_streamed_run_is_seen(self) -> None:
        """The same where the application reads a stream to its end."""
        self.needs("stream")
        self._check_one_tool("stream")

    def test_tools_that_are_called_at_once_stand_below_their_agent(self) -> None:
        """Neither stands below the other, and each has its own call."""
        self.needs("parallel_tools")
        for way in self.ways():
            seen = self.watch(way, two_tools())
            text = seen.text()
            agent = seen.one("agent", "researcher")
            tools = seen.all("tool", "look_up")
            calls = Counter(tool.call_id for tool in tools)
            assert calls == {"call-oslo": 1, "call-bergen": 1}, (
                f"{way}: each call is one tool, with the call_id of the model; saw {calls}\n{text}"
            )
            for tool in tools:
                _check_below(seen, tool, agent)

    def test_agent_that_is_called_as_a_tool_stands_below_that_call(self) -> None:
        """So that a tree shows who asked whom."""
        self.needs("agent_as_tool")
        for way in self.ways():
            seen = self.watch(way, agent_as_tool())
            writer, researcher = seen.one("agent", "writer"), seen.one("agent", "researcher")
            call, tool = seen.one("tool", "researcher"), seen.one("tool", "look_up")
            _check_below(seen, call, writer)
            _check_below(seen, researcher, call)
            _check_below(seen, tool, researcher)
            _check_models(seen, {writer: 2, researcher: 2})

    def test_handoff_is_seen(self) -> None:
        """One event says who hands over to whom; both agents stand in one tree."""
        self.needs("handoff")
        for way in self.ways():
            seen = self.watch(way, hand_off())
            text = seen.text()
            events = seen.points(AGENT_HANDOFF.value)
            assert len(events) == 1, f"{way}: one {AGENT_HANDOFF.value}, not {len(events)}\n{text}"
            to, by = events[0].payload.get("to_agent"), events[0].payload.get("from_agent")
            assert to == "researcher", f"{way}: to_agent is the id of the other agent, not {to}"
            by = by or events[0].agent_did
            assert by == "triage", f"{way}: it is triage that hands over, not {by}"
            triage, researcher = seen.one("agent", "triage"), seen.one("agent", "researcher")
            _check_models(seen, {triage: 1, researcher: 2})
            assert len(seen.roots) == 1, f"{way}: a run holds both agents together\n{text}"

    def test_usage_is_counted_once(self) -> None:
        """What each call of a model used, and no sum of it again for an agent or a run."""
        scripts = {"run": one_tool(), "agent_as_tool": agent_as_tool(), "handoff": hand_off()}
        for scenario, script in scripts.items():
            if scenario != "run" and scenario in self.lacks:
                continue
            for way in self.ways():
                with self.observed() as observability:
                    self.played(way, script)
                    counted = _tokens(observability)
                right = _right_tokens(script)
                assert counted == right, (
                    f"{scenario}, {way}: the models used {dict(right)} tokens, not {dict(counted)}:"
                    " report what each call of a model used, and no sums (or those as total=True)"
                )

    def test_agents_have_the_ids_of_the_table(self) -> None:
        """The user says by ``agents`` who is who: ask ``context.did_of(name)``."""
        ids = {"researcher": "did:mesh:7", "triage": "did:mesh:8"}
        handoff = "handoff" not in self.lacks
        way = self.ways()[0]
        with self.observed(agents=ids) as observability:
            self.played(way, hand_off() if handoff else one_tool())
            seen = self.seen(observability)
        expected = set(ids.values()) if handoff else {"did:mesh:7"}
        names = {agent.name for agent in seen.all("agent")}
        assert names == expected, f"the agents are {expected}, not {names}: use context.did_of()"
        for event in seen.points(AGENT_HANDOFF.value):
            assert event.payload["to_agent"] == "did:mesh:7", "to_agent is an id: use did_of()"

    def _check_one_tool(self, way: Way, tool: Tool = look_up) -> None:
        before, began = clock.now_ns(), time.monotonic()
        seen = self.watch(way, one_tool(tool))
        _check_pieces(seen)
        _check_times(seen, before, time.monotonic() - began)


def _check_pieces(seen: Seen) -> None:
    text = seen.text()
    agent = seen.one("agent", "researcher")
    tool = seen.one("tool", "look_up_async" if seen.all("tool", "look_up_async") else "look_up")
    assert len(seen.all("agent")) == 1, f"one agent has worked\n{text}"
    assert len(seen.all("tool")) == 1, f"one tool was called\n{text}"
    _check_below(seen, tool, agent)
    _check_models(seen, {agent: 2})
    call_id = tool.call_id
    assert call_id == "call-0-1", f"the call_id of a tool is that of the model, not {call_id}"
    assert len(seen.roots) == 1, f"a run is one tree\n{text}"
    for piece in seen.pieces:
        assert piece.status == "ok", f"all went well, so each status is ok\n{text}"


def _check_times(seen: Seen, before_ns: int, seconds: float) -> None:
    """Check when what one tool and two calls of a model did began and ended.

    Args:
        seen: The run.
        before_ns: When the run had not begun, in nanoseconds since the epoch.
        seconds: How long it took at most, by a clock that nobody sets.
    """
    text = seen.text()
    for event in seen.events:
        late = (event.timestamp_ns - before_ns) / 1e9
        assert abs(late) < seconds + _CLOCKS_DIFFER_SECONDS, (
            f"{event.event_type.value} happened {late:g} s after the run had begun, by its"
            f" timestamp: timestamp_ns takes nanoseconds since the epoch\n{text}"
        )
    for piece in seen.pieces:
        lasted = piece.end.payload.get("duration_seconds", 0.0)
        assert lasted < seconds + 1, (
            f"{piece} lasted {lasted:g} s of the {seconds:g} s of the run: duration_seconds takes"
            f" seconds; leave it out, and it is measured\n{text}"
        )
    (agent,), (tool,), (first, second) = map(seen.all, ("agent", "tool", "model"))
    # A framework may run tools within the call of a model that asks for them.
    calls = [agent.start, first.start, first.end, second.start, second.end, agent.end]
    between = [first.start, tool.start, tool.end, second.start]
    for one, other in [*pairwise(calls), *pairwise(between)]:
        told = one.timestamp_ns <= other.timestamp_ns  # False, too, where a clock was set back
        assert told or seen.events.index(one) < seen.events.index(other), (
            f"{one.event_type.value} comes behind {other.event_type.value}: open and close each"
            f" piece when it begins and ends, or give the time as timestamp_ns\n{text}"
        )


def _check_below(seen: Seen, piece: Piece, above: Piece) -> None:
    """Check that an agent, or a tool, is what stands above a piece, whatever runs are between."""
    found = piece.nearest("agent", "tool", "model")
    assert found is above, (
        f"{piece} stands below {above}, not below {found or 'nothing'}\n{seen.text()}"
    )
    own, did = piece.start.agent_did, above.start.agent_did
    assert piece.kind == "agent" or own == did, f"{piece} is work of agent {did}, not of {own}"


def _check_models(seen: Seen, calls: dict[Piece, int]) -> None:
    for agent, number in calls.items():
        own = [one for one in seen.all("model") if one.nearest("agent", "tool", "model") is agent]
        assert len(own) == number, (
            f"{agent} has called its model {number} times, and {len(own)} calls stand below it\n"
            f"{seen.text()}"
        )
    assert len(seen.all("model")) == sum(calls.values()), f"too many models\n{seen.text()}"


def _tokens(observability: Observability) -> Counter[str]:
    found: Counter[str] = Counter()
    for family in observability.collect_metrics():
        if family.name == TOKENS:
            for labels, count in family.series.items():
                found[labels[-1]] += int(count)
    return found


def _right_tokens(script: AgentScript) -> Counter[str]:
    turns = [turn for agent in script.all() for turn in agent.turns]
    used = [turn.usage for turn in turns if not isinstance(turn, Fail | Stall)]
    return Counter(
        input=sum(one.input_tokens for one in used), output=sum(one.output_tokens for one in used)
    )
