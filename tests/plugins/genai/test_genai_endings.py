"""Work ends as its span does, and as the code does that ends it."""

import asyncio
import contextlib
from typing import Any

import pytest
from opentelemetry.trace import Status, StatusCode

from tests.plugins.genai.spans import watching

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}


class OddError(Exception):
    """Of a module of its own."""


def test_exception_is_an_error_that_says_why() -> None:
    with watching() as watch:
        with pytest.raises(OddError):
            with watch.tracer().start_as_current_span("a", attributes=AGENT):
                raise OddError("no such city")
        (agent,) = watch.seen.pieces

    assert (agent.status, agent.end.payload["error"]) == ("error", "no such city")
    assert agent.end.payload["reason"] == "OddError: no such city"
    assert agent.end.payload["error_type"] == f"{__name__}.OddError"


@pytest.mark.parametrize(
    ("attributes", "status", "error"),
    [
        ({}, Status(StatusCode.ERROR, "it is away"), "it is away"),
        ({"error.type": "429"}, Status(StatusCode.ERROR, "too many"), "too many"),
        ({"error.type": "tool_error"}, Status(StatusCode.ERROR), "tool_error"),
        ({}, Status(StatusCode.ERROR), "failed"),
    ],
)
def test_error_without_an_exception_says_what_its_span_says(
    attributes: dict[str, str], status: Status, error: str
) -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("a", attributes=AGENT) as span:
            span.set_attributes(attributes)
            span.set_status(status)
        (agent,) = watch.seen.pieces

    assert (agent.status, agent.end.payload["error"]) == ("error", error)
    assert agent.end.payload.get("error_type") == attributes.get("error.type")


def test_cancellation_is_seen_though_the_span_tells_nothing() -> None:
    async def main(watch: Any) -> None:
        async def work() -> None:
            with watch.tracer().start_as_current_span("a", attributes=AGENT):
                with watch.tracer().start_as_current_span("m", attributes=MODEL):
                    await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with watching() as watch:
        asyncio.run(main(watch))
        assert [one.status for one in watch.seen.pieces] == ["cancelled", "cancelled"]


def test_cancellation_that_a_span_tells_is_no_failure() -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("a", attributes=AGENT) as span:
            span.record_exception(asyncio.CancelledError("enough"))
            span.set_status(StatusCode.ERROR)
        (agent,) = watch.seen.pieces

    assert (agent.status, agent.end.payload["error"]) == ("cancelled", "enough")


@pytest.mark.parametrize("flies", [asyncio.CancelledError, KeyboardInterrupt, ValueError])
def test_exception_that_flew_before_is_none_of_the_spans(flies: type[BaseException]) -> None:
    with watching() as watch:
        try:
            raise flies
        except flies:
            with watch.tracer().start_as_current_span("a", attributes=AGENT):
                pass
        (agent,) = watch.seen.pieces

    assert agent.status == "ok"


def test_reader_who_leaves_a_generator_is_no_failure() -> None:
    with watching() as watch:

        def words() -> Any:
            with watch.tracer().start_as_current_span("m", attributes=MODEL):
                yield "one"
                yield "two"

        reading = words()
        next(reading)
        reading.close()
        (model,) = watch.seen.pieces

    assert model.status == "ok"


@pytest.mark.parametrize("error", [StopAsyncIteration, StopIteration, ValueError])
def test_exception_that_the_framework_makes_no_error_of_is_none(error: type[Exception]) -> None:
    with watching() as watch:
        span = watch.tracer().start_span("m", attributes=MODEL)
        try:
            raise error
        except error:
            span.end()
        (model,) = watch.seen.pieces

    assert model.status == "ok"


def test_interruption_is_an_error() -> None:
    with watching() as watch:
        with pytest.raises(KeyboardInterrupt):
            with watch.tracer().start_as_current_span("a", attributes=AGENT):
                raise KeyboardInterrupt
        (agent,) = watch.seen.pieces

    assert (agent.status, agent.end.payload["reason"]) == ("error", "interrupted")


def test_times_are_those_of_the_span() -> None:
    with watching() as watch:
        span = watch.tracer().start_span("a", attributes=AGENT, start_time=5_000_000_000)
        span.end(7_500_000_000)
        (agent,) = watch.seen.pieces

    assert agent.start.timestamp_ns == 5_000_000_000
    assert agent.end.payload["duration_seconds"] == 2.5


@pytest.mark.parametrize("agent_fails", [True, False])
def test_call_that_pydantic_ai_cancels_has_failed_if_its_agent_has(agent_fails: bool) -> None:
    with watching() as watch:
        tracer = watch.tracer("pydantic-ai")
        with contextlib.suppress(OddError):
            with tracer.start_as_current_span("a", attributes=AGENT):
                with contextlib.suppress(asyncio.CancelledError):
                    with tracer.start_as_current_span("m", attributes=MODEL):
                        raise asyncio.CancelledError
                if agent_fails:
                    raise OddError("the model is away")
        agent, model = watch.seen.pieces

    assert agent.status == ("error" if agent_fails else "ok")
    assert model.status == ("error" if agent_fails else "cancelled")
    assert (model.end.payload["error"] == "the model is away") is agent_fails
