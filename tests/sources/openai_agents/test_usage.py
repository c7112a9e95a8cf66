"""Tokens: each once, by whatever the model tells them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, ModelResponse, RunConfig, Runner, function_tool, generation_span

from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import Spanless, chat_completions, responses
from tests.sources.openai_agents.observing import asks, fail, look_up, observed, says
from tests.sources.openai_agents.test_runs import MODELS, WAYS, run, stream


class Unnamed(Spanless):
    """A model whose span tells neither its name nor what it used."""

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        with generation_span():
            return await super().get_response()

    async def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        with generation_span():
            async for event in super().stream_response():
                yield event


@WAYS
def test_span_without_usage_has_that_of_its_turn(way: Any) -> None:
    with observed() as seen:
        asyncio.run(way(made(asks(look_up), Unnamed)))

    assert [str(piece) for piece in seen.seen.all("model")] == ["model Unnamed"] * 2
    assert seen.tokens == [("researcher", 20, 5), ("researcher", 30, 7)]
    for event in seen.events("usage.recorded"):
        owner = seen.seen.owner(event)
        assert owner is not None
        assert owner.kind == "model"


@WAYS
def test_call_that_used_no_tokens_is_seen(way: Any) -> None:
    with observed() as seen:
        asyncio.run(way(made(says("ha", "quiet", (0, 0)), Spanless)))

    assert seen.outline == ["run Agent workflow ok", "  agent quiet ok", "    model Spanless ok"]
    assert seen.tokens == []


@MODELS
@WAYS
def test_call_of_a_model_ends_before_the_tools_that_it_asks_for_begin(way: Any, model: Any) -> None:
    with observed() as seen:
        asyncio.run(way(made(asks(look_up), model)))

    first, second = seen.seen.all("model")
    tool = seen.seen.one("tool", "look_up")
    assert first.start.timestamp_ns <= first.end.timestamp_ns <= tool.start.timestamp_ns
    assert tool.end.timestamp_ns <= second.start.timestamp_ns


@MODELS
@WAYS
def test_tokens_of_a_turn_whose_tool_ends_the_run_are_counted(way: Any, model: Any) -> None:
    agent = made(asks(fail), model)
    agent.tools = [function_tool(fail, failure_error_function=None)]
    with observed() as seen, pytest.raises(Exception, match="no station"):
        asyncio.run(way(agent))

    assert seen.tokens == [("researcher", 20, 5)]
    assert [piece.status for piece in seen.seen.all("model")] == ["ok"]


@MODELS
@pytest.mark.parametrize("inner_way", [run, stream])
def test_run_that_a_tool_starts_itself_is_counted_once(model: Any, inner_way: Any) -> None:
    inner = made(says("part", "inner", (500, 50)), model)

    async def ask_inner(city: str) -> str:
        """Run another agent, with an account of its own."""
        return str(await inner_way(inner))

    with observed() as seen:
        asyncio.run(run(made(asks(ask_inner), model)))

    assert sorted(seen.tokens, key=str) == [
        ("inner", 500, 50),
        ("researcher", 20, 5),
        ("researcher", 30, 7),
    ]
    assert str(seen.seen.one("agent", "inner").parent) == "tool ask_inner"


@pytest.mark.parametrize("model", [chat_completions, responses])
@WAYS
def test_tokens_are_counted_without_turns(model: Any, way: Any) -> None:
    config = RunConfig(tracing={"include_task_and_turn_spans": False})  # type: ignore[typeddict-unknown-key,unused-ignore]
    with observed() as seen:
        asyncio.run(way(made(asks(look_up), model), run_config=config))

    assert seen.tokens == [("researcher", 20, 5), ("researcher", 30, 7)]
    assert [str(one) for one in seen.seen.roots] == ["run Agent workflow"]


@pytest.mark.parametrize("model", [chat_completions, responses])
@WAYS
def test_model_says_what_it_was_asked_by_and_whether_it_streams(way: Any, model: Any) -> None:
    with observed() as seen:
        asyncio.run(way(made(says("ha"), model)))

    (started,) = seen.events("model.started")
    assert started.payload["model"] == "fake-1"
    assert started.payload["stream"] is (way is stream)


def test_name_of_a_model_is_that_of_the_run_where_it_says_one() -> None:
    class Provider:
        """Has one model, by whatever name."""

        def get_model(self, _: object) -> Spanless:
            return Spanless(says("ha"))

        async def aclose(self) -> None:
            """Nothing is open."""

    agent: Agent[Any] = Agent(name="writer", model="small")
    config = RunConfig(model="large", model_provider=Provider())  # type: ignore[arg-type,unused-ignore]
    with observed() as seen:
        asyncio.run(run(agent, run_config=config))

    assert [piece.name for piece in seen.seen.all("model")] == ["large"]


def test_hundred_turns_are_a_hundred_calls() -> None:
    turns = [
        CallTools((ToolCall("look_up", {"city": "Oslo"}, f"call-{at}"),), Usage(1, 1))
        for at in range(100)
    ]
    script = AgentScript("busy", (*turns, Say("done", Usage(1, 1))), (look_up,))
    for model in (Spanless, chat_completions, responses):
        with observed() as seen:
            asyncio.run(Runner.run(made(script, model), "?", max_turns=200))
        assert len(seen.seen.all("model")) == 101
        assert len(seen.tokens) == 101
