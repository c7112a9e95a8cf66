"""Tokens and cost in trees: summed over what a piece of work caused, each counted once."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.tree import build_tree, render_tree, tree_to_dict

Nest = tuple[str, int, list[Any]]
"""A kind of work, the tokens of its model, and what is within it."""


def tree_of(events: Sequence[HypervisorEvent]) -> Any:
    trace = str(events[0].causal_trace_id).partition("/")[0]
    return build_tree(events, trace)


def usage_of(bus: HypervisorEventBus) -> dict[str, dict[str, Any] | None]:
    work = tree_to_dict(tree_of(bus.all_events))["work"]
    return {f"{one['kind']} {one['title']}": one["usage"] for one in work}


def test_usage_is_summed_over_all_that_work_caused(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:lead", name="lead"):
            with recorder.model("m-1"):
                recorder.usage(
                    model="m-1", input_tokens=900, output_tokens=60, cost=0.5, currency="USD"
                )
            with recorder.tool("ask"), recorder.agent("did:b", name="b"), recorder.model("m-2"):
                recorder.usage(model="m-2", input_tokens=100, cost=2, currency="EUR")
        with recorder.tool("read"):
            pass

    small = {"input_tokens": 100, "output_tokens": 0, "cost": {"EUR": 2.0}}
    whole = {"input_tokens": 1000, "output_tokens": 60, "cost": {"USD": 0.5, "EUR": 2.0}}
    assert usage_of(bus) == {
        "run answer": whole,
        "agent lead": whole,
        "model m-1": {"input_tokens": 900, "output_tokens": 60, "cost": {"USD": 0.5}},
        "tool ask": small,
        "agent b": small,
        "model m-2": small,
        "tool read": None,
    }
    text = render_tree(tree_of(bus.all_events), width=100)
    assert "run answer (1,060 tokens, 2 EUR, 0.5 USD)" in text
    assert "model m-2 (100 tokens, 2 EUR)" in text


@pytest.mark.parametrize("total", [None, True])
def test_report_of_a_sum_counts_nothing_again(
    bus: HypervisorEventBus, recorder: Recorder, total: bool | None
) -> None:
    with recorder.agent("did:lead", name="lead"):
        with recorder.tool("ask"), recorder.agent("did:b", name="b"):
            for _ in range(2):
                with recorder.model("m"):
                    recorder.usage(model="m", input_tokens=10)
        recorder.record(EventType.of("usage.recorded"), model="m", input_tokens=20, total=total)

    found = usage_of(bus)
    assert found["agent lead"] == found["agent b"]
    assert found["agent b"] == {"input_tokens": 20, "output_tokens": 0, "cost": {}}
    registry = MetricsRegistry()
    registry.observe(bus.all_events)
    (tokens,) = [one for one in registry.collect() if one.name == "agent_hypervisor_tokens_total"]
    assert sum(tokens.series.values()) == 20


def test_amounts_that_are_none_count_nothing(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.agent("did:a", name="a"):
        recorder.record(
            EventType.of("usage.recorded"), input_tokens=-1, output_tokens="7", cost=float("nan")
        )

    assert usage_of(bus)["agent a"] == {"input_tokens": 0, "output_tokens": 0, "cost": {}}
    assert "token" not in render_tree(tree_of(bus.all_events))


nests: st.SearchStrategy[Nest] = st.recursive(
    st.tuples(st.just("model"), st.integers(0, 1000), st.just([])),
    lambda inner: st.tuples(
        st.sampled_from(["run", "agent", "tool"]), st.integers(0, 1000), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


def record(recorder: Recorder, nest: Nest, said: dict[int, int]) -> int:
    """Record work whose own tokens come before those below it, and then the sum of all.

    Returns:
        The sum.
    """
    kind, own, inner = nest
    scope = recorder.agent("did:a") if kind == "agent" else getattr(recorder, kind)("x")
    with scope:
        number = len(said)
        said[number] = own
        recorder.record(EventType.of("usage.recorded"), input_tokens=own, total=False)
        total = own + sum(record(recorder, one, said) for one in inner)
        said[number] = total
        recorder.record(EventType.of("usage.recorded"), input_tokens=total, total=True)
    return total


@given(nests)
def test_sum_at_each_piece_of_work_is_that_of_the_reports_below_it(nest: Nest) -> None:
    bus = HypervisorEventBus()
    said: dict[int, int] = {}
    total = record(Recorder(bus), nest, said)

    work = tree_to_dict(tree_of(bus.all_events))["work"]
    assert [one["usage"]["input_tokens"] for one in work] == list(said.values())
    registry = MetricsRegistry()
    registry.observe(bus.all_events)
    counted = [one for one in registry.collect() if one.name == "agent_hypervisor_tokens_total"]
    assert sum(sum(one.series.values()) for one in counted) == total


def test_very_deep_work_is_summed_up(bus: HypervisorEventBus) -> None:
    trace = CausalTraceId()
    for _ in range(3_000):
        bus.record(EventType.SESSION_JOINED, agent_did="did:a", causal_trace_id=trace.full_id)
        trace = trace.child()
    bus.record(
        EventType.of("usage.recorded"), causal_trace_id=trace.full_id, payload={"input_tokens": 7}
    )

    work = tree_to_dict(tree_of(bus.all_events))["work"]
    assert work[0]["usage"]["input_tokens"] == 7
