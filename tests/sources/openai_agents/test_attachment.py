"""How the source is attached to the framework, and what it leaves alone there."""

import asyncio
import logging
from typing import Any

import pytest
from agents import (
    RunConfig,
    Runner,
    TracingProcessor,
    add_trace_processor,
    set_trace_processors,
    set_tracing_disabled,
    trace,
)
from agents.tracing import setup
from agents.tracing.provider import DefaultTraceProvider, SynchronousMultiTracingProcessor
from agents.tracing.spans import SpanImpl

from hypervisor_observability import Config, Observability
from hypervisor_openai_agents import OpenAIAgentsSource
from tests.sources.openai_agents.fake_agents import made
from tests.sources.openai_agents.fake_models import Spanless
from tests.sources.openai_agents.observing import asks, look_up, observed, says
from tests.sources.openai_agents.test_runs import WAYS, run, stream

TOUCHED = (SynchronousMultiTracingProcessor, DefaultTraceProvider, SpanImpl)


class Recording(TracingProcessor):
    """A processor of the user's."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_trace_start(self, trace: Any) -> None:
        self.told.append(f"trace {trace.name}")

    def on_trace_end(self, trace: Any) -> None:
        self.told.append(f"end of trace {trace.name}")

    def on_span_start(self, span: Any) -> None:
        self.told.append(span.span_data.type)

    def on_span_end(self, span: Any) -> None:
        self.told.append(f"end of {span.span_data.type}")

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self) -> None:
        """Likewise."""


@WAYS
def test_processors_of_the_users_are_told_the_same_whenever_they_are_set(way: Any) -> None:
    plain, added, replaced = Recording(), Recording(), Recording()
    add_trace_processor(plain)
    asyncio.run(way(made(asks(look_up), Spanless)))
    with observed() as seen:
        set_trace_processors([added])
        asyncio.run(way(made(asks(look_up), Spanless)))
        set_trace_processors([replaced])
        asyncio.run(way(made(asks(look_up), Spanless)))

    assert plain.told
    assert added.told == plain.told
    assert replaced.told == plain.told
    assert len(seen.seen.all("run")) == 2


def test_framework_is_as_it_was_afterwards() -> None:
    before = [dict(vars(owner)) for owner in TOUCHED]
    with observed():
        assert [dict(vars(owner)) for owner in TOUCHED] != before
    assert [dict(vars(owner)) for owner in TOUCHED] == before


def test_what_somebody_else_has_put_over_ours_stays_and_ours_is_silent() -> None:
    plain = SynchronousMultiTracingProcessor.on_span_start
    told: list[object] = []
    try:
        with observed() as seen:
            ours = SynchronousMultiTracingProcessor.on_span_start

            def theirs(self: Any, span: Any) -> None:
                told.append(span)
                ours(self, span)

            SynchronousMultiTracingProcessor.on_span_start = theirs  # type: ignore[method-assign,unused-ignore]
        assert SynchronousMultiTracingProcessor.on_span_start is theirs
        count = len(seen.events())
        asyncio.run(run(made(says("ha"), Spanless)))
        assert told
        assert len(seen.events()) == count
    finally:
        SynchronousMultiTracingProcessor.on_span_start = plain  # type: ignore[method-assign,unused-ignore]


def test_exporter_of_the_framework_is_not_made_before_the_framework_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup, "GLOBAL_TRACE_PROVIDER", None)
    with observed():
        assert setup.GLOBAL_TRACE_PROVIDER is None


@pytest.mark.parametrize("how", ["variable", "call", "config"])
def test_disabled_tracing_is_told_once(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = RunConfig(tracing_disabled=how == "config")
    if how == "variable":
        monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
        monkeypatch.setattr(setup, "GLOBAL_TRACE_PROVIDER", DefaultTraceProvider())
    set_tracing_disabled(True) if how == "call" else None
    with caplog.at_level(logging.WARNING, "hypervisor_observability"), observed() as seen:
        for _ in range(3):
            asyncio.run(run(made(says("ha"), Spanless), run_config=config))

    assert seen.events() == []
    (line,) = [one for one in caplog.messages if "disabled" in one]
    assert "set_trace_processors([])" in line
    assert ("tracing_disabled of the RunConfig" in line) is (how == "config")


def test_what_was_open_when_the_source_is_turned_off_is_not_left_open() -> None:
    async def main(observability: Observability) -> None:
        with trace("mine"):
            await Runner.run(made(says("ha"), Spanless), "?")
            observability.stop()
            await Runner.run(made(says("ho"), Spanless), "?")

    observability = Observability(Config(), plugins=[OpenAIAgentsSource()])
    observability.start()
    asyncio.run(main(observability))

    started, *_, ended = observability.bus.all_events
    assert (started.payload["name"], ended.payload["name"]) == ("mine", "mine")
    assert ended.payload["status"] == "expired"


def test_run_that_began_before_the_source_is_seen_from_there_on() -> None:
    async def main() -> None:
        with trace("mine"):
            await Runner.run(made(says("ha"), Spanless), "?")
            with observed() as seen:
                await stream(made(says("ho"), Spanless))
                assert seen.outline == [
                    f"run {seen.seen.roots[0].name} ok",
                    "  agent writer ok",
                    "    model Spanless ok",
                ]

    asyncio.run(main())
