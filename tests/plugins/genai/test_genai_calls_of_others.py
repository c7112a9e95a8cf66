"""A call that somebody else records is left to them: a framework's source, or the application."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from hypervisor_genai.processor import GenAIProcessor
from hypervisor_genai.spans import Spans
from hypervisor_observability import Observability, hookimpl
from hypervisor_observability.events.event_types import USAGE_RECORDED
from hypervisor_observability.sources import SourceContext
from hypervisor_observability.testing import Seen


class ClientSpans:
    """Sees the spans of an instrumented client library."""

    name = "spans"
    tracer: Tracer
    late = False

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(GenAIProcessor(Spans(context), context.guarded, here=True))
        self.tracer = provider.get_tracer("opentelemetry.instrumentation.openai_v2")

    @hookimpl
    def uninstrument(self) -> None:
        """The tracer is this test's own."""

    @contextmanager
    def span(self, name: str, **told: str | int) -> Iterator[None]:
        """Begin and end a span; *late* ones tell at their end what they are about."""
        attributes = {f"gen_ai.{key.replace('__', '.')}": value for key, value in told.items()}
        begun = {} if self.late else attributes
        with self.tracer.start_as_current_span(
            "POST" if self.late else name, attributes=begun
        ) as span:
            yield
            span.set_attributes(attributes)
            span.update_name(name)

    def chat(self) -> AbstractContextManager[None]:
        return self.span(
            "chat small",
            operation__name="chat",
            request__model="small",
            usage__input_tokens=3,
            usage__output_tokens=2,
        )

    def tool(self, name: str) -> AbstractContextManager[None]:
        return self.span(f"execute_tool {name}", operation__name="execute_tool", tool__name=name)


@pytest.fixture(params=[False, True], ids=["at once", "late"])
def spans(request: pytest.FixtureRequest) -> ClientSpans:
    one = ClientSpans()
    one.late = request.param
    return one


@pytest.fixture
def observability(spans: ClientSpans) -> Iterator[Observability]:
    with Observability(plugins=[spans]) as observability:
        yield observability


def counts(observability: Observability) -> tuple[int, int, int]:
    """Give how many calls of models, reports of usage and calls of tools were seen."""
    seen = Seen.of(observability.bus.all_events)
    assert not seen.still_open
    reports = seen.points(USAGE_RECORDED.value)
    return len(seen.all("model")), len(reports), len(seen.all("tool"))


def test_call_of_nobody_else_is_recorded(observability: Observability, spans: ClientSpans) -> None:
    with spans.chat(), spans.tool("search"):
        """It answers."""
    assert counts(observability) == (1, 1, 1)


def test_call_that_a_framework_records_is_left_to_it(
    observability: Observability, spans: ClientSpans
) -> None:
    recorder = observability.recorder
    recorder.open("model", "run-7", model="small")
    with spans.chat():
        """It answers."""
    recorder.close("run-7")

    assert counts(observability) == (1, 0, 0)


def test_call_that_the_application_records_is_left_to_it(
    observability: Observability, spans: ClientSpans
) -> None:
    with observability.recorder.model("small"), spans.chat():
        """It answers."""
    assert counts(observability) == (1, 0, 0)


def test_call_after_that_of_a_framework_is_recorded(
    observability: Observability, spans: ClientSpans
) -> None:
    recorder = observability.recorder
    recorder.open("model", "run-7", model="small")
    recorder.close("run-7")
    with spans.chat():
        """It answers."""

    assert counts(observability) == (2, 1, 0)


def test_tool_of_a_protocol_below_the_same_tool_of_a_framework_is_left_to_it(
    observability: Observability, spans: ClientSpans
) -> None:
    recorder = observability.recorder
    recorder.open("tool", "call-1", tool_name="search", activate=True)
    with spans.tool("search"), spans.chat():
        """The tool asks a model, which nobody else sees."""
    recorder.close("call-1")

    assert counts(observability) == (1, 1, 1)


def test_other_tool_within_a_tool_is_recorded(
    observability: Observability, spans: ClientSpans
) -> None:
    recorder = observability.recorder
    recorder.open("tool", "call-1", tool_name="search", activate=True)
    with spans.tool("fetch"):
        """A tool that calls another."""
    recorder.close("call-1")

    assert counts(observability) == (0, 0, 2)


def test_calls_one_after_the_other_are_all_recorded(
    observability: Observability, spans: ClientSpans
) -> None:
    """A call of this source's own hides neither the next one nor one of another agent in it."""
    with spans.chat(), spans.span("invoke_agent other", operation__name="invoke_agent"):
        with spans.chat():
            """The other agent's own."""
    with spans.chat():
        """Beside it."""

    assert counts(observability) == (3, 3, 0)
