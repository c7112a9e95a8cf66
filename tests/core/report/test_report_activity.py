"""A report tells of runs, calls, handoffs and refusals what metrics and trees tell."""

import re
import tracemalloc
from asyncio import CancelledError
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.facts import payload_facts
from hypervisor_observability.facts.usage import OTHER
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_observability.report import Findings, report_page
from hypervisor_observability.report.activity import Activity
from hypervisor_observability.report.calls import MOST_NAMES
from hypervisor_observability.report.runs import MOST_RUNS
from hypervisor_observability.report.spread import Spread
from hypervisor_observability.tree import build_tree, tree_to_dict

P = "agent_hypervisor_"
KINDS = ["run.finished", "tool.finished", "model.finished", "usage.recorded", "agent.handoff"]


def event(
    kind: str, trace: str | None = None, agent: str = "did:a", **said: Any
) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=EventType.of(kind), agent_did=agent, causal_trace_id=trace, payload=said
    )


def activity_of(*events: HypervisorEvent) -> Activity:
    return Findings.of(events).activity


def text_of(*events: HypervisorEvent) -> str:
    """Give what a page says, without its elements."""
    page = report_page(Findings.of(events), "j")
    return re.sub(r"<[^>]*>", " ", page.partition("</head>")[2])


def section(text: str, title: str) -> str:
    return text.partition(f" {title} ")[2]


def test_page_tells_of_tools_how_they_ended_how_long_they_took_and_the_last_error(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    for number in range(3):
        with recorder.tool("search"):
            pass
        with suppress(ValueError), recorder.tool("search"):
            raise ValueError(f"no. {number}")
    recorder.open("tool", 1, tool_name="search")
    recorder.close(1, status="blocked", reason="not in this ring")
    recorder.open("tool", 2, tool_name="search")
    tools = section(text_of(*bus.all_events), "Tools")

    assert " search : 8 calls" in re.sub(" +", " ", tools)
    assert re.search(r"blocked +1 .* error +3 .* not ended +1 .* ok +3", tools)
    assert re.search(r"median \d+ us, 95th percentile \d+ [um]s", tools)
    assert "last error: ValueError: no. 2" in tools
    assert re.search(r"search *: 1 blocked +last reason: not in this ring", tools)


def test_page_tells_of_models_tokens_cost_and_time_to_the_first_token(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.model("m-1") as call:
        call.first_token()
    recorder.usage(model="m-1", input_tokens=1_000, output_tokens=20, cost=0.25, currency="USD")
    recorder.usage(model="m-1", cost=0.5, currency="USD")
    recorder.usage(model="m-1", cost=2, currency="EUR")
    models = section(text_of(*bus.all_events), "Models")

    assert re.search(r"first token: median \d+ us, 95th percentile \d+ us", models)
    assert "1,000 tokens read, 20 written, 2 EUR, 0.75 USD" in models


def test_page_tells_of_the_newest_runs_what_happened_in_each(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"), recorder.agent("did:lead"):
        with suppress(ValueError), recorder.tool("search"):
            raise ValueError
        with recorder.run("within"), recorder.model("m-1"):
            recorder.usage(model="m-1", input_tokens=7)
        recorder.handoff("did:builder")
    with suppress(CancelledError), recorder.run("other"):
        raise CancelledError
    runs = re.sub(" +", " ", section(text_of(*bus.all_events), "Runs"))
    newest = runs.partition("The newest, each with all of its trace: ")[2]

    assert re.match(r"other : cancelled, \d+ us trace \w+ answer : ok, \d+ [um]s 1 tool", newest)
    assert (
        "1 tool call (1 failed or refused), 1 model call, 1 handoff, 7 tokens read, 0 written"
        in newest
    )
    assert "within : 1 run" in runs


def test_run_that_has_not_ended_runs() -> None:
    started = event("run.started", "t/s", name="answer")
    (run,) = activity_of(started).newest.by_trace.values()

    assert (run.name, run.outcome, run.ended_ns) == ("answer", "running", None)
    assert "answer : running" in re.sub(
        " +", " ", text_of(event("run.started", "t/s", name="answer"))
    )


def test_handoffs_are_told_by_the_two_agents_however_they_are_named() -> None:
    handoffs = activity_of(
        event("agent.handoff", agent="did:lead", to_agent="builder"),
        event("session.joined", agent="did:builder", name="builder"),
        event("session.joined", agent="did:lead", name="lead"),
        event("agent.handoff", from_agent="lead", to_agent="did:builder"),
        event("agent.handoff", from_agent="did:lead"),
    ).handoffs

    assert handoffs.pairs() == {("did:lead", "did:builder"): 2, ("did:lead", "unknown"): 1}


def test_name_of_two_agents_stands_for_neither_and_a_did_is_nobody_else_s_name() -> None:
    handoffs = activity_of(
        event("session.joined", agent="did:1", name="worker"),
        event("session.joined", agent="did:2", name="worker"),
        event("session.joined", agent="did:1", name="did:3"),
        event("session.joined", agent="did:3", name="writer"),
        event("agent.handoff", from_agent="worker", to_agent="did:3"),
    ).handoffs

    assert handoffs.pairs() == {("worker", "did:3"): 1}


def test_usage_that_sums_up_others_is_left_out(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:worker"):
            recorder.usage(model="m-1", input_tokens=100)
        recorder.usage(model="m-1", input_tokens=100)
    activity = activity_of(*bus.all_events)
    (run,) = activity.newest.by_trace.values()

    assert activity.models.by_name["m-1"].usage.input_tokens == 100
    assert run.usage.input_tokens == 100


def test_denied_decisions_are_refusals_and_allowed_or_erased_ones_are_none() -> None:
    refusals = activity_of(
        event("governance.decision", tool_name="deploy", allowed=False, reason="no approval"),
        event("governance.decision", tool_name="deploy", allowed=False),
        event("governance.decision", tool_name="deploy", allowed=True),
        event("governance.decision"),
    ).refusals.by_tool

    assert {tool: (one.denied, one.blocked) for tool, one in refusals.items()} == {
        "deploy": (2, 0),
        "unknown": (1, 0),
    }
    assert refusals["deploy"].last_reason == "no approval"


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
EVENTS = st.builds(
    lambda kind, trace, said: event(kind, trace, **said),
    st.sampled_from([*KINDS, "tool.started", "model.started", "session.joined"]),
    st.sampled_from([None, "t/a", "t/b/a", "t/c/b", "u/a"]),
    st.fixed_dictionaries(
        {},
        optional={
            "tool_name": st.sampled_from(["search", "read"]),
            "model": st.sampled_from(["m-1", "m-2"]),
            "status": st.sampled_from([*payload_facts.CALL_ENDS, "odd"]) | ANY,
            "error_type": st.just("ValueError") | ANY,
            "duration_seconds": st.floats(0, 100) | ANY,
            "first_token_seconds": st.floats(0, 100) | ANY,
            "input_tokens": st.integers(0, 50) | ANY,
            "output_tokens": st.integers(0, 50) | ANY,
        },
    ),
)


@given(st.lists(EVENTS, max_size=30))
def test_report_counts_what_metrics_count(events: list[HypervisorEvent]) -> None:
    registry = MetricsRegistry()
    registry.observe(events)
    families = {one.name.removeprefix(P): one for one in registry.collect()}
    activity = activity_of(*events)

    def series(name: str) -> dict[tuple[str, ...], float]:
        return {key: n for key, n in families[name].series.items() if n} if name in families else {}

    for name, stories in (
        ("tool_calls_total", activity.tools),
        ("model_calls_total", activity.models),
    ):
        assert series(name) == {
            (called, how): number
            for called, story in stories.by_name.items()
            for how, number in story.ends.items()
        }
    tokens: Counter[tuple[str, str]] = Counter()
    for (_, model, direction), number in series("tokens_total").items():
        tokens[model, direction] += int(number)
    assert tokens == {
        (model, direction): number
        for model, story in activity.models.by_name.items()
        for direction, number in (
            ("input", story.usage.input_tokens),
            ("output", story.usage.output_tokens),
        )
        if number
    }
    for name, timed in (
        ("run_duration_seconds", [one.seconds for one in activity.runs.by_name.values()]),
        ("tool_duration_seconds", [one.seconds for one in activity.tools.by_name.values()]),
        (
            "model_first_token_seconds",
            [one.first_token_seconds for one in activity.models.by_name.values()],
        ),
    ):
        counts = families[name].histograms.values() if name in families else ()
        assert sum(one.count for one in counts) == sum(one.count for one in timed)


@pytest.mark.parametrize("status", ["ok", "error", "blocked", "cancelled", "expired"])
def test_report_and_tree_agree_on_how_a_call_ended(status: str) -> None:
    events = [
        event("tool.started", "t/s", tool_name="search"),
        event("tool.finished", "t/s", tool_name="search", status=status),
    ]
    (work,) = tree_to_dict(build_tree(events, "t"))["work"]
    story = activity_of(*events).tools.by_name["search"]

    states = {"error": "failed", "blocked": "refused", "expired": "cancelled"}
    assert story.ends == {status: 1}
    assert work["state"] == states.get(status, status)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0, 1))
def test_quantile_is_within_three_percent_of_a_duration_that_was_measured(
    seconds: list[float], share: float
) -> None:
    spread = Spread()
    for one in seconds:
        spread.add(one)
    exact = sorted(seconds)[max(1, -int(-share * len(seconds) // 1)) - 1]

    assert spread.quantile(share) == pytest.approx(exact, rel=0.03, abs=1e-7)


def many_events() -> Iterator[HypervisorEvent]:
    for number in range(20_000):
        name, trace = f"n{number}", f"t{number}/s"
        yield event("run.started", trace, name=name)
        yield event("tool.started", trace, tool_name=name)
        yield event(
            "tool.finished", f"{trace}/p", tool_name=name, status="blocked", reason="x" * 999
        )
        yield event("model.finished", trace, model=name, error="x" * 9_999, status="error")
        yield event("usage.recorded", trace, model=name, cost=1, currency=name)
        yield event("agent.handoff", trace, from_agent=name, to_agent=f"{name}b")


def test_names_without_end_take_no_memory_without_end() -> None:
    tracemalloc.start()
    try:
        findings = Findings.of(many_events())
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    activity = findings.activity

    assert size < 40_000_000
    assert len(activity.tools.by_name) == MOST_NAMES + 1
    assert len(activity.newest.by_trace) == MOST_RUNS
    assert activity.tools.by_name[OTHER].ends == {"blocked": 20_000 - MOST_NAMES}
    assert activity.models.by_name[OTHER].usage.cost[OTHER] > 0
    assert sum(activity.handoffs.pairs().values()) == 20_000
    assert len(report_page(findings, "j")) < 100_000
