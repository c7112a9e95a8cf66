"""Runs: one for each, whatever holds it; what is around them, and what is not theirs."""

import asyncio
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, custom_span, function_tool, trace

from hypervisor_observability.testing import AgentScript, CallTools, HandOff, ToolCall, Usage
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import Spanless, chat_completions, responses
from tests.sources.openai_agents.observing import asks, fail, look_up, observed, says

MODELS = pytest.mark.parametrize("model", [Spanless, chat_completions, responses])


async def stream(agent: Agent[Any], **options: Any) -> object:
    """Run an agent by its stream."""
    result = Runner.run_streamed(agent, "?", **options)
    async for _ in result.stream_events():
        pass
    return result.final_output


async def run(agent: Agent[Any], **options: Any) -> object:
    """Run an agent."""
    return (await Runner.run(agent, "?", **options)).final_output


WAYS = pytest.mark.parametrize("way", [run, stream])


@WAYS
def test_trace_of_the_users_holds_a_run_for_each_of_its_runs(way: Any) -> None:
    async def main() -> None:
        config = RunConfig(workflow_name="joke")
        with trace("jokes"):
            await way(made(says("ha"), Spanless), run_config=config)
            await way(made(says("ho", "critic"), Spanless), run_config=config)

    with observed() as seen:
        asyncio.run(main())

    # The oldest version names a streamed run by the trace around it.
    inner = seen.seen.roots[0].below[0].name
    assert inner in ("joke", "jokes")
    assert seen.outline == [
        "run jokes ok",
        f"  run {inner} ok",
        "    agent writer ok",
        "      model Spanless ok",
        f"  run {inner} ok",
        "    agent critic ok",
        "      model Spanless ok",
    ]


@WAYS
def test_run_stands_in_the_scope_around_it_and_in_nothing_that_is_over(way: Any) -> None:
    with observed() as seen:

        async def main() -> None:
            with seen.recorder.agent("did:outer"):
                await way(made(says("ha"), Spanless))
            await way(made(says("ho"), Spanless))

        asyncio.run(main())

    assert seen.outline == [
        "agent did:outer ok",
        "  run Agent workflow ok",
        "    agent writer ok",
        "      model Spanless ok",
        "run Agent workflow ok",
        "  agent writer ok",
        "    model Spanless ok",
    ]


def test_run_tells_its_conversation_its_trace_and_what_the_user_says_of_it() -> None:
    config = RunConfig(
        workflow_name="support",
        trace_id="trace_" + "1" * 32,
        group_id="chat-7",
        trace_metadata={"tier": "gold", "deep": {"left": "out"}},
    )
    with observed() as seen:
        asyncio.run(run(made(says("ha"), Spanless), run_config=config))

    (started,) = seen.events("run.started")
    assert started.payload == {
        "name": "support",
        "run_id": "trace_" + "1" * 32,
        "conversation_id": "chat-7",
        "attributes": {"tier": "gold"},
    }


@MODELS
@WAYS
def test_handoff_is_told_and_the_agents_stand_beside_each_other(way: Any, model: Any) -> None:
    script = AgentScript("triage", (HandOff("writer", Usage(3, 1)),), hands_to=(says("done"),))
    with observed(agents={"writer": "did:mesh:7"}) as seen:
        asyncio.run(way(made(script, model)))

    name = "Spanless" if model is Spanless else "fake-1"
    assert seen.outline == [
        "run Agent workflow ok",
        "  agent triage ok",
        f"    model {name} ok",
        "  agent did:mesh:7 ok",
        f"    model {name} ok",
    ]
    (handoff,) = seen.events("agent.handoff")
    assert handoff.payload == {"from_agent": "triage", "to_agent": "did:mesh:7"}
    assert handoff.agent_did == "triage"


def test_handoff_that_fails_is_none() -> None:
    agent = made(
        AgentScript("triage", (HandOff("writer", Usage(3, 1)),), hands_to=(says("x"),)), Spanless
    )

    def refuse(_: object) -> None:
        raise ValueError("no filter")

    with observed() as seen, pytest.raises(ValueError, match="no filter"):
        asyncio.run(run(agent, run_config=RunConfig(handoff_input_filter=refuse)))

    assert seen.events("agent.handoff") == []
    assert [piece.status for piece in seen.seen.all("agent")] == ["error"]


@WAYS
def test_run_in_an_except_block_has_not_failed_by_what_is_handled_there(way: Any) -> None:
    async def main() -> None:
        try:
            raise TimeoutError("the other one")
        except TimeoutError:
            await way(made(asks(look_up), Spanless))

    with observed() as seen:
        asyncio.run(main())

    assert {line.rpartition(" ")[2] for line in seen.outline} == {"ok"}


@MODELS
@WAYS
def test_tool_says_what_it_raised_though_the_model_is_told_less(way: Any, model: Any) -> None:
    with observed() as seen:
        assert str(asyncio.run(way(made(asks(fail), model)))).strip() == "sunny"

    end = seen.seen.one("tool", "fail").end.payload
    assert (end["status"], end["error_type"]) == ("error", "LookupError")
    assert (end["error"], end["reason"]) == (
        "no station in Oslo",
        "LookupError: no station in Oslo",
    )


@WAYS
def test_tool_that_ends_its_run_says_what_it_raised_itself(way: Any) -> None:
    agent = made(asks(fail), Spanless)
    agent.tools = [function_tool(fail, failure_error_function=None)]
    with observed() as seen, pytest.raises(Exception, match="no station"):
        asyncio.run(way(agent))

    assert seen.seen.one("tool", "fail").end.payload["error_type"] == "LookupError"
    assert [piece.status for piece in seen.seen.pieces] == ["error", "error", "ok", "error"]


@MODELS
@WAYS
def test_messages_stay_out_of_payloads_where_the_run_keeps_content_out_of_its_traces(
    way: Any, model: Any
) -> None:
    agent = made(asks(fail), model)
    agent.tools = [function_tool(fail, failure_error_function=None)]
    config = RunConfig(trace_include_sensitive_data=False)
    with observed(content="all") as seen, pytest.raises(Exception, match="no station"):
        asyncio.run(way(agent, run_config=config))

    assert "Oslo" not in repr([event.payload for event in seen.events()])
    tool = seen.seen.one("tool", "fail")
    assert tool.end.payload["error_type"] == "LookupError"
    assert tool.start.payload["call_id"] == "call-1"


def test_names_of_arguments_go_into_payloads_even_then() -> None:
    config = RunConfig(trace_include_sensitive_data=False)
    with observed() as seen:
        asyncio.run(run(made(asks(look_up), Spanless), run_config=config))

    assert seen.seen.one("tool", "look_up").start.payload["arguments"] == ["city"]


def test_what_is_no_work_of_ours_holds_nothing_up() -> None:
    async def main() -> None:
        with trace("mine"), custom_span("prepare"), custom_span("deeper"):
            await Runner.run(made(says("ha"), Spanless), "?")

    with observed() as seen:
        asyncio.run(main())

    assert seen.outline == [
        "run mine ok",
        "  run Agent workflow ok",
        "    agent writer ok",
        "      model Spanless ok",
    ]


def test_callbacks_of_an_agent_stand_in_it() -> None:
    with observed() as seen:

        def instructions(_: object, __: object) -> str:
            seen.recorder.vfs.write("/notes")
            return "Answer."

        agent = made(says("ha"), Spanless)
        agent.instructions = instructions
        asyncio.run(run(agent))

    (written,) = seen.events("vfs.write")
    owner = seen.seen.owner(written)
    assert owner is not None
    assert (owner.kind, owner.name) == ("agent", "writer")


def test_agents_that_are_called_at_once_have_their_own_models_and_tokens() -> None:
    calls = tuple(ToolCall(name, {"request": "?"}, f"call-{name}") for name in ("a", "b", "c"))
    script = AgentScript(
        "boss",
        (CallTools(calls, Usage(1, 1)), says("done").turns[0]),
        agents=tuple(
            says("part", name, (100 * at, at)) for at, name in enumerate(("a", "b", "c"), 1)
        ),
    )
    for model in (Spanless, chat_completions, responses):
        with observed() as seen:
            asyncio.run(run(made(script, model)))
        assert sorted(seen.tokens, key=str) == [
            ("a", 100, 1),
            ("b", 200, 2),
            ("boss", 1, 1),
            ("boss", 10, 2),
            ("c", 300, 3),
        ]
        for name in ("a", "b", "c"):
            assert str(seen.seen.one("agent", name).parent) == f"tool {name}"
