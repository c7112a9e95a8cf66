"""Work stands where it belongs: below its span's nearest ancestor, and with the ids of its span."""

import asyncio
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from hypervisor_observability import HypervisorEventBus, Recorder, current_trace
from hypervisor_observability.testing.source_pieces import Seen
from tests.plugins.genai.spans import watching

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}


def test_ids_of_spans_are_the_causal_ids() -> None:
    with watching() as watch:
        tracer = watch.tracer()
        with tracer.start_as_current_span("a", attributes=AGENT) as agent:
            with tracer.start_as_current_span("t", attributes=TOOL) as tool:
                pass
        found = {one.kind: one.start.causal_trace_id for one in watch.seen.pieces}

    trace_id = f"{agent.get_span_context().trace_id:032x}"
    above, own = (f"{one.get_span_context().span_id:016x}" for one in (agent, tool))
    assert found == {"agent": f"{trace_id}/{above}", "tool": f"{trace_id}/{own}/{above}"}


def test_spans_between_are_passed_through_though_they_have_ended() -> None:
    with watching() as watch:
        tracer = watch.tracer()
        with tracer.start_as_current_span("a", attributes=AGENT):
            with tracer.start_as_current_span("GET /") as between:
                with tracer.start_as_current_span("POST /") as deeper:
                    pass
        for above in (between, deeper):
            with tracer.start_as_current_span(
                "t", trace.set_span_in_context(above), attributes=TOOL
            ):
                pass
        seen = watch.seen

    assert [one.parent for one in seen.all("tool")] == [seen.one("agent", "guide")] * 2


def test_message_brings_its_sender() -> None:
    with watching() as watch:
        tracer = watch.tracer()
        with tracer.start_as_current_span("a", attributes=AGENT):
            sent = tracer.start_span("send", kind=SpanKind.PRODUCER)
            sent.end()
        links = [Link(SpanContext(1, 2, is_remote=False)), Link(sent.get_span_context())]
        received = tracer.start_span("receive", kind=SpanKind.CONSUMER, links=links)
        with trace.use_span(received, end_on_exit=True):
            with tracer.start_as_current_span("b", attributes={**AGENT, "gen_ai.agent.name": "b"}):
                pass
        seen = watch.seen

    assert seen.one("agent", "b").parent is seen.one("agent", "guide")


def test_what_a_tool_records_stands_below_it_and_nothing_else_does() -> None:
    with watching() as watch:
        tracer, write = watch.tracer(), watch.observability.recorder.vfs.write
        with tracer.start_as_current_span("a", attributes=AGENT):
            write("before")
            with tracer.start_as_current_span("t", attributes=TOOL):
                write("inside")
            write("after")
        assert current_trace() is None
        seen = watch.seen

    owners = {event.payload["path"]: seen.owner(event) for event in seen.points("vfs.write")}
    assert owners == {"before": None, "inside": seen.one("tool", "look"), "after": None}


def test_tool_that_ends_in_another_thread_leaves_where_it_began() -> None:
    with watching() as watch:
        span = watch.tracer().start_span("t", attributes=TOOL)
        assert current_trace() is not None
        thread = threading.Thread(target=span.end)
        thread.start()
        thread.join()
        assert current_trace() is None
        assert watch.seen.one("tool", "look").status == "ok"


def test_tools_of_tasks_do_not_mix() -> None:
    async def use(watch: Any, city: str) -> None:
        with watch.tracer().start_as_current_span(
            "t", attributes={**TOOL, "gen_ai.tool.call.id": city}
        ):
            await asyncio.sleep(0.01)
            watch.observability.recorder.vfs.write(city)

    async def main(watch: Any) -> None:
        await asyncio.gather(*(use(watch, str(number)) for number in range(20)))

    with watching() as watch:
        asyncio.run(main(watch))
        seen = watch.seen

    for event in seen.points("vfs.write"):
        owner = seen.owner(event)
        assert owner is not None
        assert owner.call_id == event.payload["path"]


def test_work_stands_below_the_scope_of_the_application() -> None:
    with watching() as watch:
        tracer, recorder = watch.tracer(), watch.observability.recorder
        with recorder.run("job"):
            with tracer.start_as_current_span("a", attributes=AGENT):
                with tracer.start_as_current_span("m", attributes=MODEL):
                    pass
                with tracer.start_as_current_span("t", attributes=TOOL):
                    with recorder.agent("inner"):
                        with tracer.start_as_current_span("m", attributes=MODEL):
                            pass
        seen = watch.seen

    outer, inner = seen.all("model")
    assert [one.name for one in outer.above()] == ["guide", "job"]
    assert [one.name for one in inner.above()] == ["inner", "look", "guide", "job"]


def test_work_of_another_process_lies_below_its_caller() -> None:
    caller = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(1))
    with watching() as watch:
        context = trace.set_span_in_context(NonRecordingSpan(caller))
        with watch.tracer().start_as_current_span("t", context, attributes=TOOL) as span:
            pass
        (tool,) = watch.seen.pieces

    own = f"{span.get_span_context().span_id:016x}"
    assert tool.start.causal_trace_id == f"{0xA1:032x}/{own}/{0xB2:016x}"


def test_span_that_began_before_the_source_is_not_seen() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    early = provider.get_tracer("some.agents").start_span("a", attributes=AGENT)
    with watching() as watch:
        tracer = provider.get_tracer("some.agents")
        with tracer.start_as_current_span("t", trace.set_span_in_context(early), attributes=TOOL):
            pass
        early.end()
        (tool,) = watch.seen.pieces

    assert (tool.name, tool.parent, tool.is_orphan) == ("look", None, False)


def test_processors_in_threads_of_their_own_make_nobody_stand_anywhere() -> None:
    with watching() as watch:
        provider = TracerProvider(
            shutdown_on_exit=False, active_span_processor=ConcurrentMultiSpanProcessor(2)
        )
        tracer = provider.get_tracer("some.agents")
        for _ in range(5):
            with tracer.start_as_current_span("a", attributes=AGENT):
                with tracer.start_as_current_span("t", attributes=TOOL):
                    assert current_trace() is None
        seen = watch.seen

    assert len(seen.roots) == 5
    assert {one.status for one in seen.pieces} == {"ok"}


@given(
    parents=st.lists(st.integers(min_value=0, max_value=30), min_size=1, max_size=15),
    order=st.permutations(range(15)),
    kinds=st.lists(st.sampled_from([AGENT, TOOL, MODEL, {}]), min_size=15, max_size=15),
)
def test_any_order_of_ends_gives_each_beginning_one_end(
    parents: list[int], order: list[int], kinds: list[dict[str, str]]
) -> None:
    with watching() as watch:
        tracer = watch.tracer()
        spans: list[Any] = []
        for number, above in enumerate(parents):
            context = None
            if spans and above < len(spans):
                context = trace.set_span_in_context(spans[above])
            told = {key: f"{value}" for key, value in kinds[number].items()}
            spans.append(tracer.start_span(f"s{number}", context, attributes=told))
        for number in order:
            if number < len(spans):
                spans[number].end()
        seen = watch.seen
        assert current_trace() is None

    assert all(len(piece.ends) == 1 and not piece.is_orphan for piece in seen.pieces)


def test_recorder_that_shares_ids_with_opentelemetry_nests_both_ways() -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus, id_width="w3c", opentelemetry=True)
    with watching() as watch:
        with recorder.run("job"):
            with watch.tracer().start_as_current_span("a", attributes=AGENT):
                with recorder.tool("own"):
                    pass
        agent = str(watch.seen.one("agent", "guide").start.causal_trace_id).split("/")
        own = Seen.of(bus.all_events)

    job = str(own.one("run", "job").start.causal_trace_id).split("/")
    tool = str(own.one("tool", "own").start.causal_trace_id).split("/")
    assert agent[0] == job[0] == tool[0]
    assert tool[2] == agent[1]
