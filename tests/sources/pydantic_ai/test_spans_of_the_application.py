"""The application's own spans of pydantic-ai go where they went, and are seen."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.test import TestModel

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing.source_pieces import Seen
from tests.sources.pages import PAGES, run_page


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the application exports once it has set a provider; none is set yet."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(Agent, "_instrument_default", False)
    return InMemorySpanExporter()


def provider_of(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def ask(**told: Any) -> None:

    agent = Agent(TestModel(), name="guide", **told)
    asyncio.run(agent.run("weather?"))


def seen_in(observability: Observability) -> Seen:
    return Seen.of(observability.bus.all_events)


def test_application_that_exports_no_agents_exports_none_because_of_the_source(
    exported: InMemorySpanExporter,
) -> None:
    trace.set_tracer_provider(provider_of(exported))
    with Observability(plugins=[GenAISource()]) as observability:
        ask()
        assert len(seen_in(observability).all("agent", "guide")) == 1

    assert exported.get_finished_spans() == ()


def test_spans_in_the_tools_of_such_an_application_lie_where_they_lay(
    exported: InMemorySpanExporter,
) -> None:
    trace.set_tracer_provider(provider_of(exported))
    tracer = trace.get_tracer("the application")

    def weather() -> str:
        with tracer.start_as_current_span("look up"):
            return "sunny"

    with Observability(plugins=[GenAISource()]) as observability:
        with tracer.start_as_current_span("request"):
            ask(tools=[weather])
        ask(tools=[weather])
        assert len(seen_in(observability).all("tool", "weather")) == 2

    spans = exported.get_finished_spans()
    assert [span.name for span in spans] == ["look up", "request", "look up"]
    inside, request, alone = spans
    assert inside.parent == request.context
    assert alone.parent is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_spans_that_the_application_wants_are_exported_and_have_the_ids_of_the_events(
    exported: InMemorySpanExporter, when: str
) -> None:
    if when == "before":
        trace.set_tracer_provider(provider_of(exported))
        Agent.instrument_all()
    with Observability(plugins=[GenAISource()]) as observability:
        if when == "after":
            trace.set_tracer_provider(provider_of(exported))
            Agent.instrument_all()
        ask()
        agent = seen_in(observability).one("agent", "guide")

    spans = {span.name: span for span in exported.get_finished_spans()}
    context = spans["invoke_agent guide"].context
    assert agent.start.causal_trace_id == f"{context.trace_id:032x}/{context.span_id:016x}"
    assert Agent._instrument_default is True


def test_provider_that_one_agent_has_is_seen(exported: InMemorySpanExporter) -> None:
    with Observability(plugins=[GenAISource()]) as observability:
        settings = InstrumentationSettings(tracer_provider=provider_of(exported))
        agent = Agent(TestModel(), name="other")
        agent.instrument = settings

        asyncio.run(agent.run("weather?"))
        ask()
        assert {one.name for one in seen_in(observability).all("agent")} == {"other", "guide"}

    assert {span.name for span in exported.get_finished_spans()} == {
        "invoke_agent other",
        "chat test",
    }


def test_agent_that_is_not_to_be_instrumented_is_not_seen(exported: InMemorySpanExporter) -> None:
    with Observability(plugins=[GenAISource()]) as observability:
        agent = Agent(TestModel(), name="secret")
        agent.instrument = False

        asyncio.run(agent.run("weather?"))
        assert observability.bus.emitted == 0


def test_source_turns_the_spans_off_again(exported: InMemorySpanExporter) -> None:
    with Observability(plugins=[GenAISource()]):
        assert Agent._instrument_default
    assert Agent._instrument_default is False


def test_page_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "pydantic-ai.md", tmp_path)


def test_page_of_the_source_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "genai.md", tmp_path)
