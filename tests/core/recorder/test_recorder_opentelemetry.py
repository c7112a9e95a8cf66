"""Spans of an application's own OpenTelemetry above, between and below ours."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

from hypervisor_observability import Observability
from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.config import Config, PropagationConfig
from hypervisor_observability.events.event_types import AGENT_FINISHED, EventType
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder import recorder as recorder_module
from tests.programs import run_python


@pytest.fixture
def recorder(bus: HypervisorEventBus) -> Recorder:
    return Recorder(bus, opentelemetry=True)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("application")


def ids(span: trace.Span) -> tuple[str, str]:
    found = span.get_span_context()
    return f"{found.trace_id:032x}", f"{found.span_id:016x}"


def parent_of(spans: tuple[ReadableSpan, ...], name: str) -> str | None:
    (span,) = (span for span in spans if span.name == name)
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def test_active_span_is_the_parent_and_ours_is_active_within(
    recorder: Recorder, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("request") as request:
        with recorder.agent("did:a") as agent:
            with tracer.start_as_current_span("query") as query, recorder.saga("x") as saga:
                with saga.step("y") as step, tracer.start_as_current_span("insert"):
                    pass
            with recorder.agent("did:b") as delegated:
                pass
        assert trace.get_current_span() is request
    assert not trace.get_current_span().get_span_context().is_valid

    assert (agent.trace.trace_id, agent.trace.parent_span_id) == ids(request)
    assert saga.trace.parent_span_id == ids(query)[1]
    assert delegated.trace.parent_span_id == agent.trace.span_id
    spans = exporter.get_finished_spans()
    assert parent_of(spans, "query") == agent.trace.to_w3c()[1]
    assert parent_of(spans, "insert") == step.trace.to_w3c()[1]
    assert {ids_of(span) for span in spans} == {ids(request)[0]}


def ids_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def test_short_ids_are_found_again_through_their_wide_form(
    recorder: Recorder, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    with recorder.agent("did:a") as agent, recorder.agent("did:b") as below:
        with tracer.start_as_current_span("query"):
            pass

    assert len(agent.trace.trace_id) == 12
    assert below.trace.parent_span_id == agent.trace.span_id
    (query,) = exporter.get_finished_spans()
    assert query.parent is not None
    assert CausalTraceId.from_w3c(ids_of(query), f"{query.parent.span_id:016x}") == (
        CausalTraceId(below.trace.trace_id, below.trace.span_id)
    )


def test_decision_not_to_sample_and_state_go_along(recorder: Recorder) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("application")
    state = trace.TraceState([("vendor", "x")])
    remote = trace.SpanContext(1, 2, is_remote=True, trace_state=state)
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    try:
        with unsampled.start_as_current_span("request"), recorder.agent("did:a"):
            within = trace.get_current_span().get_span_context()
            headers: dict[str, str] = {}
            inject(headers)
    finally:
        context.detach(token)

    assert not within.trace_flags.sampled
    assert headers["traceparent"].endswith("-00")
    assert headers["tracestate"] == "vendor=x"
    with recorder.agent("did:a"):
        assert trace.get_current_span().get_span_context().trace_flags.sampled


def test_spans_of_others_are_left_alone_unless_wanted(
    bus: HypervisorEventBus, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("request") as request:
        with Recorder(bus).agent("did:a") as agent:
            assert trace.get_current_span() is request

    assert agent.trace.parent_span_id is None


def test_configuration_wants_them() -> None:
    config = Config(propagation=PropagationConfig(opentelemetry=True))
    with Observability(config).recorder.agent("did:a") as agent:
        assert ids(trace.get_current_span()) == agent.trace.to_w3c()


def test_scope_that_ends_in_another_context_logs_nothing(
    bus: HypervisorEventBus, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    async def answers() -> AsyncIterator[int]:
        async with recorder.agent("did:a"):
            yield 1

    async def main() -> None:
        iterator: Any = answers()
        await asyncio.create_task(anext(iterator))
        await asyncio.create_task(iterator.aclose())

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())

    assert bus.query_by_type(AGENT_FINISHED)
    assert not [record for record in caplog.records if record.name != "asyncio"]


class Broken:
    """What an implementation may do that the API allows to be replaced."""

    def parent(self, current: object) -> object:
        raise OSError("parent")

    def activate(self, trace_id: object) -> object:
        raise OSError("activate")


class BrokenLater:
    def parent(self, current: object) -> object:
        return current

    def activate(self, trace_id: object) -> object:
        def leave() -> None:
            raise OSError("leave")

        return leave


@pytest.mark.parametrize("broken", [Broken(), BrokenLater()])
def test_fault_of_others_spans_never_reaches_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: object
) -> None:
    monkeypatch.setattr(recorder_module, "OpenTelemetrySpans", lambda: broken)
    bus = HypervisorEventBus()
    recorder = Recorder(bus, opentelemetry=True)

    with recorder.agent("did:a") as agent, recorder.agent("did:b") as below:
        pass

    assert below.trace.parent_span_id == agent.trace.span_id
    assert len(bus.query_by_type(EventType.SESSION_JOINED)) == 2
    assert "out of reach" in caplog.text


def test_context_of_another_kind_is_left_by_its_own_means(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    detached: list[object] = []
    monkeypatch.setattr(context, "attach", lambda _: "token")
    monkeypatch.setattr(context, "detach", detached.append)

    with recorder.agent("did:a"):
        assert not detached

    assert detached == ["token"]


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None  # as if it were not installed
from hypervisor_observability import HypervisorEventBus, Recorder
bus = HypervisorEventBus()
with Recorder(bus, opentelemetry=True).agent("did:a"):
    pass
print(bus.emitted)
"""


def test_nothing_is_missed_where_the_api_is_not_installed() -> None:
    ran = run_python(WITHOUT)

    assert (ran.returncode, ran.stdout.strip()) == (0, "2"), ran.stderr


def test_scopes_that_end_in_another_order_leave_no_span_of_ours_active(recorder: Recorder) -> None:
    scopes = [recorder.agent(f"did:{number}") for number in range(3)]
    agents = [scope.__enter__() for scope in scopes]

    scopes[0].__exit__(None, None, None)
    assert ids(trace.get_current_span()) == agents[2].trace.to_w3c()
    scopes[2].__exit__(None, None, None)
    assert ids(trace.get_current_span()) == agents[1].trace.to_w3c()
    scopes[1].__exit__(None, None, None)
    assert not trace.get_current_span().get_span_context().is_valid


def test_call_that_gives_a_coroutine_takes_its_span_along(recorder: Recorder) -> None:
    async def work() -> tuple[str, str]:
        return ids(trace.get_current_span())

    async def main() -> None:
        coroutine = recorder.agent("did:a")(lambda _=None: work())()
        assert not trace.get_current_span().get_span_context().is_valid
        found = await coroutine
        (joined, _) = recorder._writer._bus.all_events
        assert joined.causal_trace_id is not None
        assert found == CausalTraceId.from_string(joined.causal_trace_id).to_w3c()

    asyncio.run(main())
