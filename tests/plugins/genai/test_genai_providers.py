"""The source gets to the spans, whoever sets up OpenTelemetry's SDK, and leaves it as it was."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.util._once import Once

from hypervisor_genai.links import Links
from hypervisor_observability.recorder.keyed_table import MAX_OPEN
from tests.plugins.genai.spans import Watch, watching

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no global provider, as in a process that sets none."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())


def run(tracer: Any, *, times: int = 1) -> None:
    for _ in range(times):
        with tracer.start_as_current_span("a", attributes=AGENT):
            pass


def agents(watch: Watch) -> int:
    return len(watch.seen.all("agent"))


def processors(provider: TracerProvider) -> int:
    return len(provider._active_span_processor._span_processors)


def test_global_provider_that_was_set_before_is_seen_through_tracers_of_before() -> None:
    trace.set_tracer_provider(provider := TracerProvider(shutdown_on_exit=False))
    tracer = trace.get_tracer("some.agents")
    with watching() as watch:
        run(tracer)
        assert agents(watch) == 1
        assert processors(provider) == 1
    run(tracer)

    assert agents(watch) == 1
    assert processors(provider) == 0


def test_tracers_make_spans_where_nobody_sets_a_provider() -> None:
    early = trace.get_tracer("some.agents")  # as a framework takes one at its import
    with watching() as watch:
        run(early)
        run(trace.get_tracer("other.agents"))
        assert agents(watch) == 2
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    run(early)

    assert agents(watch) == 2
    with early.start_as_current_span("a") as span:
        assert not span.is_recording()


def test_provider_that_is_set_later_wins_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter = InMemorySpanExporter()
    with watching() as watch:
        early = trace.get_tracer("some.agents")
        run(early)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        run(early)
        assert agents(watch) == 2
        assert trace.get_tracer_provider() is provider

    assert len(exporter.get_finished_spans()) == 1
    assert caplog.records == []


def test_several_providers_are_seen_each_span_once() -> None:
    with watching() as watch:
        providers = [TracerProvider(shutdown_on_exit=False) for _ in range(3)]
        for provider in providers:
            for scope in ("some.agents", "other.agents", "some.agents"):
                run(provider.get_tracer(scope))
        assert agents(watch) == 9
        assert [processors(one) for one in providers] == [1, 1, 1]

    assert [processors(one) for one in providers] == [0, 0, 0]


def test_span_that_a_sampler_drops_is_not_seen() -> None:
    with watching() as watch:
        run(TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("some.agents"))
        assert agents(watch) == 0


def test_environment_of_samplers_does_not_hold_for_the_sources_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with watching() as watch:
        run(trace.get_tracer("some.agents"))
        assert agents(watch) == 1


def test_sdk_that_is_disabled_makes_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with watching() as watch:
        run(trace.get_tracer("some.agents"))
        assert agents(watch) == 0


def test_api_and_sdk_are_afterwards_as_they_were() -> None:
    replaced = (
        (TracerProvider, "get_tracer"),
        (Tracer, "start_span"),
        (trace.ProxyTracer, "_tracer"),
    )
    before = [vars(owner)[name] for owner, name in replaced]
    with watching():
        meanwhile = [vars(owner)[name] for owner, name in replaced]
        assert [one is not plain for one, plain in zip(meanwhile, before, strict=True)] == [
            True
        ] * 3

    assert [vars(owner)[name] for owner, name in replaced] == before


def test_wrapper_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with watching() as watch:
        ours = TracerProvider.get_tracer

        def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            return ours(self, *args, **kwargs)

        monkeypatch.setattr(TracerProvider, "get_tracer", theirs)
        run(provider.get_tracer("some.agents"))
        assert agents(watch) == 1
    run(provider.get_tracer("some.agents"))

    assert TracerProvider.get_tracer is theirs
    assert agents(watch) == 1


def test_spans_of_many_threads_are_seen() -> None:
    with watching() as watch:
        tracer = trace.get_tracer("some.agents")
        threads = [threading.Thread(target=lambda: run(tracer, times=50)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert agents(watch) == 400


def test_spans_that_never_end_are_bounded() -> None:
    with watching() as watch:
        tracer = trace.get_tracer("some.agents")
        kept = [tracer.start_span("a", attributes=AGENT) for _ in range(MAX_OPEN + 50)]
        pieces = watch.observability.bus.query(event_type="agent.finished")
        assert {event.payload["status"] for event in pieces} == {"expired"}
        assert len(pieces) == 50
        for span in kept:
            span.end()
    assert len(kept) == MAX_OPEN + 50


def test_links_are_bounded_and_the_newest_stay() -> None:
    links = Links(100)
    for number in range(1_000):
        links.put((1, number), object())  # type: ignore[arg-type]  # any value does

    assert len(links) == 100
    assert links.get((1, 999)) is not None
    assert links.get((1, 1)) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_child_of_a_fork_goes_on() -> None:
    with watching() as watch:
        tracer = trace.get_tracer("some.agents")
        with tracer.start_as_current_span("a", attributes=AGENT):
            child = os.fork()
            if child == 0:  # coverage of the child is not counted: it ends at once
                before = len(watch.observability.bus.all_events)
                run(tracer)
                os._exit(0 if len(watch.observability.bus.all_events) == before + 2 else 1)
            _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert agents(watch) == 1


def test_sdk_is_loaded_only_where_a_framework_is() -> None:
    code = (
        "import sys\n"
        "from hypervisor_genai import GenAISource\n"
        "from hypervisor_observability import Observability\n"
        "with Observability(plugins=[GenAISource()]) as observability:\n"
        "    assert 'waiting for pydantic_ai or' in observability.states()['genai']\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
