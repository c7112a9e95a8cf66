"""Agents, tools and models are read in the words of each convention."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from hypervisor_genai.dialects import DIALECTS
from hypervisor_genai.reading import MOST_TEXT, parsed, work_of
from tests.plugins.genai.spans import watching

GEN_AI = [
    ("agent", "guide", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide"}),
    ("run", "flow", {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "flow"}),
    ("tool", "look", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}),
    ("model", "m-1", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}),
    ("model", "m-1", {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m-1"}),
]
OTHERS = [
    ("agent", "guide", {"openinference.span.kind": "AGENT", "agent.name": "guide"}),
    ("tool", "look", {"openinference.span.kind": "TOOL", "tool.name": "look"}),
    ("model", "m-1", {"openinference.span.kind": "LLM", "llm.model_name": "m-1"}),
    ("model", "e-1", {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e-1"}),
    ("run", "flow", {"traceloop.span.kind": "workflow", "traceloop.entity.name": "flow"}),
    ("agent", "guide", {"traceloop.span.kind": "agent", "traceloop.entity.name": "guide"}),
    ("tool", "look", {"traceloop.span.kind": "tool", "traceloop.entity.name": "look"}),
    ("model", "m-1", {"llm.request.type": "chat", "gen_ai.request.model": "m-1"}),
    ("tool", "look", {"mcp.method.name": "tools/call", "gen_ai.tool.name": "look"}),
]


@pytest.mark.parametrize(("kind", "name", "attributes"), [*GEN_AI, *OTHERS])
def test_work_is_known_by_its_attributes(kind: str, name: str, attributes: dict[str, str]) -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("some span", attributes=attributes):
            pass
        (piece,) = watch.seen.pieces

    assert (piece.kind, piece.name, piece.status) == (kind, name, "ok")


@pytest.mark.parametrize(
    ("scope", "span", "found"),
    [
        ("gcp.vertex.agent", "invoke_agent guide", ("agent", "guide")),
        ("gcp.vertex.agent", "generate_content m-1", ("model", "m-1")),
        ("agent_framework", "chat m-1", ("model", "m-1")),
        ("agent_framework", "workflow.run", ("run", "workflow.run")),
        ("other", "execute_tool look up", ("tool", "look up")),
        ("other", "invoke_agent", ("agent", "invoke_agent")),
        ("other", "chat about the weather", None),
        ("other", "invoke_agents a", None),
        ("other", "create_agent a", None),
        ("gcp.vertex.agent", "execute_tool (merged)", None),
        ("other", "", None),
    ],
)
def test_work_is_known_by_the_name_of_its_span(
    scope: str, span: str, found: tuple[str, str] | None
) -> None:
    work = work_of(span, {}, scope)

    assert (None if work is None else (work.kind, work.name)) == found


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "create_agent"},
        {"gen_ai.operation.name": "retrieval"},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "RETRIEVER"},
        {"traceloop.span.kind": "task"},
        {"mcp.method.name": "tools/list"},
        {"http.request.method": "GET"},
    ],
)
def test_other_spans_are_no_work(attributes: dict[str, str]) -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("some span", attributes=attributes):
            pass
        assert watch.seen.pieces == []


def test_span_of_two_conventions_counts_once() -> None:
    told = {**GEN_AI[0][2], "openinference.span.kind": "AGENT", "traceloop.span.kind": "agent"}
    with watching() as watch:
        with watch.tracer().start_as_current_span("some span", attributes=told):
            pass
        assert len(watch.seen.pieces) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.response.model": "m-1-2026",
            "gen_ai.system": "acme",
            "gen_ai.usage.input_tokens": 7,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.response.finish_reasons": ["stop"],
        },
        {
            "openinference.span.kind": "LLM",
            "llm.request.model_name": "m-1",
            "llm.response.model_name": "m-1-2026",
            "llm.provider": "acme",
            "llm.token_count.prompt": 7,
            "llm.token_count.completion": 3,
            "llm.finish_reason": "stop",
        },
        {
            "llm.request.type": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.response.model": "m-1-2026",
            "gen_ai.provider.name": "acme",
            "gen_ai.usage.prompt_tokens": 7,
            "gen_ai.usage.completion_tokens": 3,
            "gen_ai.response.finish_reason": "stop",
        },
    ],
)
def test_call_of_a_model_tells_its_tokens_in_each_convention(attributes: dict[str, Any]) -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("some span", attributes=attributes):
            pass
        (model,) = watch.seen.pieces
        (usage,) = watch.seen.points("usage.recorded")

    assert (model.name, model.start.payload["provider"]) == ("m-1", "acme")
    assert model.end.payload["finish_reason"] == "stop"
    assert usage.payload == {
        "model": "m-1-2026", "provider": "acme", "input_tokens": 7, "output_tokens": 3,
    }  # fmt: skip


def test_usage_of_an_agent_is_a_sum_and_does_not_count() -> None:
    told: dict[str, Any] = {
        **GEN_AI[0][2],
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 30,
    }
    with watching() as watch:
        with watch.tracer().start_as_current_span("invoke_agent guide", attributes=told):
            pass
        assert watch.seen.points("usage.recorded") == []


def test_names_that_come_after_the_beginning_come_from_the_name_of_the_span() -> None:
    with watching() as watch:
        span = watch.tracer("gcp.vertex.agent").start_span("invoke_agent guide")
        assert [one.name for one in watch.seen.pieces] == ["guide"]
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
        span.set_attribute("gen_ai.agent.name", "guide")
        span.end()
        (agent,) = watch.seen.pieces

    assert agent.status == "ok"


def test_work_that_is_told_only_at_the_end_is_recorded_then() -> None:
    with watching() as watch:
        with watch.tracer().start_as_current_span("ask") as span:
            assert watch.seen.pieces == []
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.request.model", "m-1")
            span.set_attribute("gen_ai.usage.input_tokens", 7)
        (model,) = watch.seen.pieces

    assert (model.name, model.status) == ("m-1", "ok")
    assert model.start.timestamp_ns == span.start_time  # type: ignore[attr-defined]  # an SDK's span
    assert len(model.points) == 1


@pytest.mark.parametrize(
    ("content", "started", "finished"),
    [
        ("none", {}, {}),
        ("names", {"arguments": ["city"]}, {}),
        ("all", {"arguments": {"city": "Oslo"}}, {"result": "sunny"}),
    ],
)
def test_content_of_a_tool_is_what_the_user_wants(
    content: str, started: dict[str, Any], finished: dict[str, Any]
) -> None:
    told = {
        **GEN_AI[2][2],
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.call.arguments": '{"city": "Oslo"}',
        "gen_ai.tool.call.result": "sunny",
    }
    with watching(content=content) as watch:
        with watch.tracer().start_as_current_span("execute_tool look", attributes=told):
            pass
        (tool,) = watch.seen.pieces

    assert tool.start.payload == {"tool_name": "look", "call_id": "call-1", **started}
    told_at_end = {key: tool.end.payload.get(key) for key in ("arguments", "result")}
    assert told_at_end == {"arguments": None, "result": finished.get("result")}


def test_messages_are_told_only_where_all_is_wanted() -> None:
    told = {**GEN_AI[3][2], "gen_ai.input.messages": "x" * (2 * MOST_TEXT)}
    for content, is_told in (("names", False), ("all", True)):
        with watching(content=content) as watch:
            with watch.tracer().start_as_current_span("chat m-1", attributes=told):
                pass
            (model,) = watch.seen.pieces
        attributes = model.end.payload.get("attributes")
        assert (attributes is not None) is is_told
        assert len(str(attributes)) < 2 * MOST_TEXT


def test_every_dialect_says_which_version_it_was_read_in() -> None:
    assert all(any(one.isdigit() for one in dialect.read_in) for dialect in DIALECTS)


ODD = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
KEYS = sorted({key for one in DIALECTS for keys in one.keys.values() for key in keys})
WORDS = sorted({(one.told_by, word) for one in DIALECTS for word in one.kinds})


@given(
    word=st.sampled_from(WORDS),
    attributes=st.dictionaries(st.sampled_from(KEYS), ODD, max_size=8),
    name=st.text(max_size=30),
    kind=st.sampled_from(list(SpanKind)),
)
def test_odd_values_make_valid_events(
    word: tuple[str, str], attributes: dict[str, Any], name: str, kind: SpanKind
) -> None:
    with watching(content="all") as watch:
        span = watch.tracer().start_span(name, attributes=dict([word]), kind=kind)
        span.set_attributes(attributes)
        span.end()
        assert all(piece.ends for piece in watch.seen.pieces)


@given(st.text())
def test_any_text_of_arguments_can_be_read(text: str) -> None:
    parsed(text)
    parsed(f"[{text}")
