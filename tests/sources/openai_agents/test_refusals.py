"""What guardrails decide, and calls of tools that are held back."""

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OutputGuardrail,
    OutputGuardrailTripwireTriggered,
    Runner,
    RunState,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailTripwireTriggered,
)

from hypervisor_observability.testing import AgentScript, CallTools, Say, ToolCall, Usage
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import Spanless, responses
from tests.sources.openai_agents.observing import Observed, asks, look_up, observed, says
from tests.sources.openai_agents.test_runs import MODELS, WAYS, run


def decides(*, trips: bool) -> Any:
    """Make the function of a guardrail."""

    async def policy(*_: object, **__: object) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=trips)

    return policy


def decisions(seen: Observed) -> list[tuple[object, object, object]]:
    """Give the agent, the answer and the reason of each decision."""
    return [
        (one.agent_did, one.payload["allowed"], one.payload["reason"])
        for one in seen.events("governance.decision")
    ]


@WAYS
@pytest.mark.parametrize("trips", [False, True])
def test_guardrail_on_what_comes_in_is_a_decision(way: Any, trips: bool) -> None:
    agent = made(says("ha"), Spanless)
    agent.input_guardrails = [InputGuardrail(guardrail_function=decides(trips=trips))]
    with observed() as seen:
        if trips:
            with pytest.raises(InputGuardrailTripwireTriggered):
                asyncio.run(way(agent))
        else:
            asyncio.run(way(agent))

    assert decisions(seen) == [("writer", not trips, "guardrail policy")]
    status = "error" if trips else "ok"
    assert (seen.seen.one("agent", "writer").status, seen.seen.roots[0].status) == (status, status)


@MODELS
@WAYS
def test_guardrail_before_the_model_leaves_no_call_of_it(way: Any, model: Any) -> None:
    agent = made(says("ha"), model)
    guardrail = InputGuardrail(guardrail_function=decides(trips=True), run_in_parallel=False)
    agent.input_guardrails = [guardrail]
    with observed() as seen, pytest.raises(InputGuardrailTripwireTriggered):
        asyncio.run(way(agent))

    assert seen.seen.all("model") == []
    assert decisions(seen) == [("writer", False, "guardrail policy")]


@MODELS
@WAYS
def test_guardrail_on_what_goes_out_leaves_the_call_of_the_model_as_it_was(
    way: Any, model: Any
) -> None:
    agent = made(says("ha"), model)
    agent.output_guardrails = [OutputGuardrail(guardrail_function=decides(trips=True))]
    with observed() as seen, pytest.raises(OutputGuardrailTripwireTriggered):
        asyncio.run(way(agent))

    assert [piece.status for piece in seen.seen.all("model")] == ["ok"]
    assert decisions(seen) == [("writer", False, "guardrail policy")]
    assert seen.tokens == [("writer", 10, 2)]


def test_guardrail_that_fails_has_decided_nothing() -> None:
    def broken(*_: object) -> GuardrailFunctionOutput:
        raise OSError("no policy")

    agent = made(says("ha"), Spanless)
    agent.input_guardrails = [InputGuardrail(guardrail_function=broken)]
    with observed() as seen, pytest.raises(OSError, match="no policy"):
        asyncio.run(run(agent))

    assert decisions(seen) == []


@WAYS
def test_tool_that_a_guardrail_stops_is_blocked(way: Any) -> None:
    def stop(_: object) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.raise_exception()

    agent = made(asks(look_up), Spanless)
    agent.tools[0].tool_input_guardrails = [ToolInputGuardrail(guardrail_function=stop)]
    with observed() as seen, pytest.raises(ToolInputGuardrailTripwireTriggered):
        asyncio.run(way(agent))

    end = seen.seen.one("tool", "look_up").end.payload
    assert end["status"] == "blocked"
    assert end["error_type"].endswith("ToolInputGuardrailTripwireTriggered")


@WAYS
def test_tool_in_whose_place_a_guardrail_answers_is_blocked_and_no_other(way: Any) -> None:
    answer = "not this"

    def refuse(data: Any) -> ToolGuardrailFunctionOutput:
        if "Oslo" in data.context.tool_arguments:
            return ToolGuardrailFunctionOutput.reject_content(answer)
        return ToolGuardrailFunctionOutput.allow()

    def same(city: str) -> str:
        """Answer what the guardrail of another tool answers."""
        return answer

    calls = tuple(
        ToolCall(name, {"city": city}, f"call-{name}-{city}")
        for name, city in (("look_up", "Oslo"), ("look_up", "Rome"), ("same", "Oslo"))
    )
    script = AgentScript(
        "boss", (CallTools(calls, Usage(1, 1)), Say("done", Usage(1, 1))), (look_up, same)
    )
    agent = made(script, Spanless)
    agent.tools[0].tool_input_guardrails = [ToolInputGuardrail(guardrail_function=refuse)]
    with observed() as seen:
        asyncio.run(way(agent))

    ends = {
        piece.start.payload["call_id"]: (piece.status, piece.end.payload.get("reason"))
        for piece in seen.seen.all("tool")
    }
    assert ends == {
        "call-look_up-Oslo": ("blocked", "rejected by guardrail refuse"),
        "call-look_up-Rome": ("ok", None),
        "call-same-Oslo": ("ok", None),
    }


def test_tool_whose_calls_are_all_rejected_is_blocked() -> None:
    script = AgentScript(
        "boss",
        (
            CallTools((ToolCall("look_up", {"city": "Oslo"}, "call-1"),), Usage(1, 1)),
            CallTools((ToolCall("look_up", {"city": "Rome"}, "call-2"),), Usage(1, 1)),
            Say("done", Usage(1, 1)),
        ),
        (look_up,),
    )
    agent: Agent[Any] = made(script, Spanless)
    agent.tools[0].needs_approval = True  # type: ignore[union-attr,unused-ignore]

    async def main() -> object:
        first = await Runner.run(agent, "?")
        state: RunState[Any] = first.to_state()
        state.reject(first.interruptions[0], always_reject=True)
        return (await Runner.run(agent, state)).final_output

    with observed() as seen:
        assert asyncio.run(main()) == "done"

    end = seen.seen.all("tool")[-1].end.payload
    assert (end["call_id"], end["status"]) == ("call-2", "blocked")
    assert "was manually rejected by user" in end["reason"]


@pytest.mark.parametrize("approves", [False, True])
@pytest.mark.parametrize("model", [Spanless, responses])
def test_tool_that_waits_for_approval_is_blocked_until_it_runs(model: Any, approves: bool) -> None:
    agent: Agent[Any] = made(asks(look_up), model)
    agent.tools[0].needs_approval = True  # type: ignore[union-attr,unused-ignore]

    async def main() -> object:
        first = await Runner.run(agent, "?")
        state: RunState[Any] = first.to_state()
        (asked,) = first.interruptions
        (state.approve if approves else state.reject)(asked)
        return (await Runner.run(agent, state)).final_output

    with observed() as seen:
        assert asyncio.run(main()) == "sunny"

    ends = [
        (piece.status, piece.end.payload.get("reason"), piece.start.payload["call_id"])
        for piece in seen.seen.all("tool", "look_up")
    ]
    # The framework says nothing of a call that is rejected while it waits.
    assert (
        ends
        == [("blocked", "waits for approval", "call-1"), ("ok", None, "call-1")][: 1 + approves]
    )
    for piece in seen.seen.pieces:
        assert piece.kind == "run" or piece.nearest("run") is not None
    assert [one[1:] for one in seen.tokens] == [(20, 5), (30, 7)]
