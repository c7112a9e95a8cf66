"""Runs in odd places, and ends that say odd things."""

import asyncio
from typing import Any

import pytest
from agents import Model, RunConfig, function_tool, generation_span, trace

from hypervisor_observability import Observability
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_openai_agents import OpenAIAgentsSource
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import Spanless, chat_completions, responses
from tests.sources.openai_agents.observing import asks, observed, says
from tests.sources.openai_agents.test_runs import WAYS, run

MODELS = pytest.mark.parametrize("model", [Spanless, chat_completions, responses])


class Failed(BaseException):
    """As a test framework raises it, past every ``except Exception``."""


@WAYS
def test_run_stands_in_the_scope_that_code_of_a_tool_has_opened_around_it(way: Any) -> None:
    with observed() as seen:

        async def ask(city: str) -> str:
            """Ask another agent."""
            with seen.recorder.agent("did:assistant"):
                await run(made(says(city), Spanless))
            return "sunny"

        asyncio.run(way(made(asks(ask), Spanless)))

    assert seen.outline == [
        "run Agent workflow ok",
        "  agent researcher ok",
        "    model Spanless ok",
        "    tool ask ok",
        "      agent did:assistant ok",
        "        agent writer ok",
        "          model Spanless ok",
        "    model Spanless ok",
    ]


@MODELS
@pytest.mark.parametrize("error", [Failed, asyncio.CancelledError])
def test_no_exception_of_a_tool_says_what_the_run_keeps_out_of_its_traces(
    model: Any, error: type[BaseException]
) -> None:
    def reveal(city: str) -> str:
        """Reveal a secret."""
        raise error(f"the secret of {city}")

    agent = made(asks(reveal), model)
    agent.tools = [function_tool(reveal, failure_error_function=None)]
    config = RunConfig(trace_include_sensitive_data=False)
    with observed(content="all") as seen, pytest.raises(BaseException):  # noqa: B017 - some are wrapped
        asyncio.run(run(agent, run_config=config))

    assert "secret" not in repr([event.payload for event in seen.events()])


class Odd(Model):
    """Makes no span, fails, and calls itself otherwise than most do."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def get_response(model, *_: Any, **__: Any) -> Any:  # noqa: N805 - that is the point
        raise model.error

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("no run here streams")


@pytest.mark.parametrize("error", [Failed, LookupError])
@pytest.mark.parametrize("hides", [False, True])
def test_call_without_a_span_that_fails_says_what_the_run_lets_it_say(
    hides: bool, error: type[BaseException]
) -> None:
    agent = made(says("?"), Spanless)
    agent.model = Odd(error("the secret of Oslo"))
    config = RunConfig(trace_include_sensitive_data=not hides)
    with observed() as seen, pytest.raises(error):
        asyncio.run(run(agent, run_config=config))

    end = seen.seen.one("model", "Odd").end.payload
    assert (end["status"], str(end["error_type"]).endswith(error.__name__)) == ("error", True)
    assert ("secret" in repr([event.payload for event in seen.events()])) == (not hides)


def test_end_is_recorded_though_what_it_says_cannot_be_read() -> None:
    class Unreadable(dict[str, Any]):
        def get(self, *_: object) -> Any:
            raise ValueError("no")

    source = OpenAIAgentsSource()
    with Observability(plugins=[source]) as observability:
        with trace("mine"), generation_span(model="m") as span:
            span.span_data.usage = Unreadable()
        assert observability.status()["sources"]["openai-agents"]["errors"] == 1

        seen = Seen.of(observability.bus.all_events)
        assert [(one.name, one.status) for one in seen.pieces] == [("mine", "ok"), ("m", "ok")]
