"""What only the source sees changes nothing of what the application sees, sends and samples."""

import gc
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util._once import Once

from hypervisor_genai.own_spans import OwnSpans
from hypervisor_observability import Observability, current_trace
from hypervisor_observability.testing.source_pieces import Seen
from tests.plugins.genai.spans import AlwaysOn, watching

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt"}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no global provider, as in a process that sets none."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def exporting(exporter: InMemorySpanExporter, **chosen: Any) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False, **chosen)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def own_tracer() -> trace.Tracer:
    """Give one whose spans only the source sees, as pydantic-ai has: no provider is set yet."""
    return trace.get_tracer("pydantic-ai")


def names_and_parents(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    return {
        span.name: None if span.parent is None else names.get(span.parent.span_id, "nobody knows")
        for span in spans
    }


@pytest.mark.parametrize("multi", [None, ConcurrentMultiSpanProcessor])
def test_spans_of_the_application_lie_below_each_other_and_belong_to_the_agent(
    exporter: InMemorySpanExporter, multi: Any
) -> None:
    with watching() as watch:
        own = own_tracer()
        user = exporting(
            exporter, active_span_processor=None if multi is None else multi(2)
        ).get_tracer("user")
        with (
            user.start_as_current_span("request"),
            own.start_as_current_span("a", attributes=AGENT),
            own.start_as_current_span("t", attributes=TOOL),
            user.start_as_current_span("post"),
            user.start_as_current_span("chat gpt", attributes=CHAT),
        ):
            pass
        with own.start_as_current_span("a", attributes=AGENT), user.start_as_current_span("alone"):
            pass
        seen = watch.seen

    assert [one.kind for one in seen.one("model", "gpt").above()] == ["tool", "agent"]
    assert names_and_parents(exporter) == {
        "request": None,
        "post": "request",
        "chat gpt": "post",
        "alone": None,
    }


def test_sampler_of_the_application_decides_as_it_would_without_the_source(
    exporter: InMemorySpanExporter,
) -> None:
    with watching() as watch:
        own = own_tracer()
        user = exporting(exporter, sampler=ParentBased(ALWAYS_OFF)).get_tracer("user")
        with (
            user.start_as_current_span("request") as request,
            own.start_as_current_span("a", attributes=AGENT),
        ):
            header: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(header)
            with user.start_as_current_span("post"):
                pass
        assert len(watch.seen.all("agent", "guide")) == 1

    assert exporter.get_finished_spans() == ()
    flags = f"{request.get_span_context().trace_flags:02x}"
    assert header["traceparent"].endswith(f"-{flags}")


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    ],
)
@pytest.mark.parametrize("value", ["1", "many"])
def test_environment_of_limits_does_not_hold_for_the_sources_own(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with watching() as watch:
        monkeypatch.setenv(name, value)
        with own_tracer().start_as_current_span("a", attributes=AGENT):
            pass
        assert watch.seen.one("agent", "guide").status == "ok"


class Refusing(TracerProvider):
    def add_span_processor(self, span_processor: object) -> None:
        raise RuntimeError("there is one already")


class Comparing(TracerProvider):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Comparing)


def test_provider_that_cannot_be_looked_into_works_as_ever() -> None:
    before = Refusing(shutdown_on_exit=False)
    trace.set_tracer_provider(before)
    with Observability(plugins=[AlwaysOn()]) as observability:
        for provider in (before, Refusing(shutdown_on_exit=False)):
            with provider.get_tracer("some.agents").start_as_current_span("a", attributes=AGENT):
                pass
        assert observability.bus.emitted == 0
        assert list(observability.states().values()) == ["running"]


def test_providers_that_are_equal_are_each_seen() -> None:
    with watching() as watch:
        for provider in (Comparing(shutdown_on_exit=False), Comparing(shutdown_on_exit=False)):
            with provider.get_tracer("some.agents").start_as_current_span("a", attributes=AGENT):
                pass
        assert len(watch.seen.all("agent")) == 2


def test_fault_in_making_the_sources_own_spans_stays_out_of_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: OwnSpans) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(OwnSpans, "__attrs_post_init__", fails)
    with (
        Observability(plugins=[AlwaysOn()]) as observability,
        own_tracer().start_as_current_span("a", attributes=AGENT) as span,
    ):
        assert not span.is_recording()
        assert observability.bus.emitted == 0


def test_source_that_stops_ends_what_is_open_and_leaves_no_context_behind() -> None:
    with Observability(plugins=[AlwaysOn()]) as observability:
        own = own_tracer()
        agent = own.start_as_current_span("a", attributes=AGENT)
        agent.__enter__()
        tool = own.start_as_current_span("t", attributes=TOOL)
        tool.__enter__()
        served = trace.get_tracer("mcp").start_as_current_span(
            "tools/call weather", kind=trace.SpanKind.SERVER, attributes=TOOL
        )
        served.__enter__()
        assert current_trace() is not None

    assert current_trace() is None
    seen = Seen.of(observability.bus.all_events)
    assert [seen.one("tool", "weather").status, seen.one("agent", "guide").status] == [
        "expired",
        "expired",
    ]
    for open_one in (served, tool, agent):
        open_one.__exit__(None, None, None)
    assert current_trace() is None


def test_span_that_is_dropped_without_an_end_ends_its_work_and_leaves_no_context_behind() -> None:
    with watching() as watch:
        tracer = watch.tracer()
        tool = tracer.start_span("t", attributes=TOOL)
        served = watch.tracer("mcp").start_span(
            "t", trace.set_span_in_context(tool), attributes=TOOL
        )
        assert current_trace() is not None
        del served, tool
        gc.collect()
        assert current_trace() is None
        with tracer.start_as_current_span("a", attributes=AGENT):
            pass
        seen = watch.seen

    assert seen.one("tool", "weather").status == "expired"
    assert seen.one("agent", "guide").parent is None


def test_tokens_of_one_call_told_by_three_layers_count_once() -> None:
    inner: dict[str, Any] = {"llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 10}
    middle = {"openinference.span.kind": "LLM", "llm.model_name": "gpt"}
    with watching() as watch:
        with (
            watch.tracer("some.agents").start_as_current_span("c", attributes=CHAT),
            watch.tracer("openinference.instrumentation.openai").start_as_current_span(
                "c", attributes={**middle, "llm.token_count.prompt": 10}
            ),
            watch.tracer("some.proxy").start_as_current_span("between"),
            watch.tracer("opentelemetry.instrumentation.openai").start_as_current_span(
                "c", attributes=inner
            ),
        ):
            pass
        with (
            watch.tracer("some.agents").start_as_current_span("c", attributes=CHAT),
            watch.tracer("some.proxy").start_as_current_span("c", attributes=middle),
        ):
            for _ in range(2):  # it tries again
                with watch.tracer("other").start_as_current_span("c", attributes=inner):
                    pass
        used = watch.observability.bus.query(event_type="usage.recorded")

    assert [event.payload["input_tokens"] for event in used] == [10, 20]


def test_word_that_one_convention_does_not_know_leaves_the_span_to_the_next() -> None:
    told = {"gen_ai.operation.name": "respond", "openinference.span.kind": "LLM"}
    with watching() as watch:
        with watch.tracer().start_as_current_span("c", attributes={**told, "llm.model_name": "m"}):
            pass
        with watch.tracer().start_as_current_span(
            "invoke_agent x", attributes={"gen_ai.operation.name": "respond"}
        ):
            pass
        assert [one.name for one in watch.seen.pieces] == ["m"]


def test_name_that_only_a_span_has_is_bounded() -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("invoke_agent " + "z" * 1_000_000):
            pass
        assert len(watch.seen.all("agent")[0].name) < 100_000
