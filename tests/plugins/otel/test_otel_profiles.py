"""Attribute profiles, and which traces are sampled."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from hypervisor_observability import Observability
from hypervisor_observability.spans.record import FinishedSpan, SpanStatus
from hypervisor_observability.spans.sampling import is_sampled
from hypervisor_otel import OTelConfig, OTelPlugin, encode_spans
from hypervisor_otel.attributes import decode_attributes
from hypervisor_otel.profiles import PROFILES, ProfileName, profiled
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_otel.scope import PROFILES_ATTRIBUTE
from tests.plugins.otel.spans import make_span


def agent_span() -> FinishedSpan:
    return make_span(
        name="invoke_agent lead",
        scope="agent",
        status=SpanStatus.OK,
        attributes={"gen_ai.operation.name": "invoke_agent", "agent.hypervisor.depth": 1},
    )


def test_hypervisor_alone_has_no_names_of_others() -> None:
    assert profiled(agent_span(), ["hypervisor"]) == {
        "agent.hypervisor.depth": 1,
        "agent.did": "did:mesh:orchestrator",
        "session.id": "s1",
    }


def test_genai_names_the_agent_and_its_operation() -> None:
    assert profiled(agent_span(), ["otel-genai"]) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "lead",
        "gen_ai.agent.id": "did:mesh:orchestrator",
        "agent.hypervisor.depth": 1,
        "session.id": "s1",
    }


def test_openinference_says_what_kind_of_span_it_is() -> None:
    agent = profiled(agent_span(), ["openinference"])
    assert agent["openinference.span.kind"] == "AGENT"
    assert (agent["agent.name"], agent["graph.node.id"]) == ("lead", "did:mesh:orchestrator")
    nameless = profiled(make_span(scope="agent", agent_did=None), ["openinference", "otel-genai"])
    assert not {"graph.node.id", "gen_ai.agent.id"} & set(nameless)
    kinds = {
        scope: profiled(make_span(scope=scope), ["openinference"])["openinference.span.kind"]
        for scope in (
            "tool",
            "model",
            "run",
            "decision",
            "quarantine",
            "elevation",
            "saga",
            "step",
            "session",
        )
    }
    assert kinds == {
        "tool": "TOOL",
        "model": "LLM",
        "run": "CHAIN",
        "decision": "GUARDRAIL",
        "quarantine": "GUARDRAIL",
        "elevation": "GUARDRAIL",
        "saga": "CHAIN",
        "step": "CHAIN",
        "session": "CHAIN",
    }


def test_openinference_names_what_is_called() -> None:
    tool = make_span(scope="tool", attributes={"gen_ai.tool.name": "search"})
    model = make_span(scope="model", attributes={"gen_ai.request.model": "m-1"})
    used = make_span(
        scope="model",
        attributes={"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4},
    )

    assert profiled(tool, ["openinference"])["tool.name"] == "search"
    assert profiled(model, ["openinference"])["llm.model_name"] == "m-1"
    assert "gen_ai.tool.name" not in profiled(tool, ["openinference"])
    named = profiled(used, ["openinference"])
    assert (named["llm.token_count.prompt"], named["llm.token_count.completion"]) == (3, 4)


def test_genai_names_tools_workflows_and_errors() -> None:
    tool = profiled(
        make_span(
            name="execute_tool search", scope="decision", attributes={"error.type": "policy_denied"}
        ),
        ["otel-genai"],
    )
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert tool["gen_ai.tool.name"] == "search"
    assert tool["error.type"] == "policy_denied"
    nameless = profiled(make_span(name="decision", scope="decision"), ["otel-genai"])
    assert "gen_ai.tool.name" not in nameless
    session = profiled(make_span(scope="session"), ["otel-genai"])
    assert session["gen_ai.operation.name"] == "invoke_workflow"
    assert session["error.type"] == "_OTHER"


def test_profiles_are_told_in_the_scope() -> None:
    request = encode_spans([make_span()], {}, ["hypervisor", "openinference"])

    scope = request.resource_spans[0].scope_spans[0]
    assert decode_attributes(scope.scope.attributes) == {
        PROFILES_ATTRIBUTE: "hypervisor,openinference"
    }
    assert scope.schema_url.startswith("https://opentelemetry.io/schemas/1.")


@given(st.sets(st.sampled_from(PROFILES), min_size=1))
def test_no_profile_loses_what_has_no_standard_name(chosen: set[ProfileName]) -> None:
    span = FinishedSpan(
        name="saga",
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_span_id=None,
        start_ns=1,
        end_ns=2,
        attributes={"agent.hypervisor.expired": True, "own": "x"},
        scope="saga",
    )

    attributes = profiled(span, chosen)

    assert (attributes["agent.hypervisor.expired"], attributes["own"]) == (True, "x")


@given(st.integers(1, 2**128 - 1), st.floats(0.0, 1.0))
def test_samples_what_the_sdk_samples(trace_id: int, ratio: float) -> None:
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace_id, "n").decision

    assert is_sampled(f"{trace_id:032x}", ratio) == (theirs is Decision.RECORD_AND_SAMPLE)


def sampled_traces(ratio: float, count: int) -> tuple[set[str], int, int]:
    with OTLPReceiver() as receiver:
        plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint, sample_ratio=ratio))
        with Observability(plugins=[plugin]) as observability:
            for _ in range(count):
                with observability.recorder.agent("did:mesh:a"), observability.recorder.saga("s"):
                    pass
            assert observability.flush(60)
            counts = observability.counts()["otelplugin"]
    spans: Sequence[str] = [span.trace_id for span in receiver.spans]
    assert counts.emitted == counts.delivered + counts.dropped_total
    # Each span was ended by an event of its own.
    return set(spans), len(spans), counts.dropped.get("sampled", 0)


def test_traces_are_sampled_whole_and_the_rest_is_counted() -> None:
    traces, spans, unsampled = sampled_traces(0.25, 400)

    assert 40 < len(traces) < 160  # 10 standard deviations about 100
    assert spans == 2 * len(traces)
    assert spans + unsampled == 800
    assert all(is_sampled(trace, 0.25) for trace in traces)


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 20)])
def test_none_or_all_traces_are_sampled(ratio: float, spans: int) -> None:
    assert sampled_traces(ratio, 10)[1:] == (spans, 20 - spans)
