"""Runs, calls and handoffs as spans, and in trees."""

import json
from asyncio import CancelledError

import pytest

from hypervisor_observability import (
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.spans import handoffs
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import AttributeValue, SpanKind, SpanStatus
from hypervisor_observability.tree import build_tree, tree_to_dict


def spans_of(bus: HypervisorEventBus) -> dict[str, FinishedSpan]:
    assembler = SpanAssembler()
    found = {span.name: span for event in bus.all_events for span in assembler.feed(event)}
    assert assembler.open_spans == 0
    return found


def work_of(bus: HypervisorEventBus) -> dict[str, tuple[str, str, str | None]]:
    """Give the state of each piece of work, its word, and what it stands below."""
    trace = str(bus.all_events[0].causal_trace_id).partition("/")[0]
    work = tree_to_dict(build_tree(bus.all_events, trace))["work"]
    names = [f"{one['kind']} {one['title']}" for one in work]
    return {
        name: (one["state"], one["word"], None if one["parent"] is None else names[one["parent"]])
        for name, one in zip(names, work, strict=True)
    }


def test_run_with_its_agents_and_calls_is_one_trace(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:lead", name="lead"):
            with recorder.model("m-1", provider="acme") as call:
                call.first_token()
                recorder.usage(model="m-1", input_tokens=3)
            with recorder.tool("search", call_id="c1", attempt=2):
                recorder.vfs.write("a")
            recorder.handoff("did:builder")
        with recorder.agent("did:builder", name="builder"):
            pass

    spans = spans_of(bus)
    run, lead, builder = (
        spans[name]
        for name in ("invoke_workflow answer", "invoke_agent lead", "invoke_agent builder")
    )
    tool, model = spans["execute_tool search"], spans["chat m-1"]
    assert run.parent_span_id is None
    assert lead.parent_span_id == builder.parent_span_id == run.span_id
    assert tool.parent_span_id == model.parent_span_id == lead.span_id
    assert {span.trace_id for span in spans.values()} == {run.trace_id}
    assert {span.status for span in spans.values()} == {SpanStatus.OK}
    assert model.kind is SpanKind.CLIENT
    assert model.attributes["gen_ai.request.model"] == "m-1"
    assert model.attributes["gen_ai.provider.name"] == "acme"
    assert float(model.attributes["agent.hypervisor.first_token_seconds"]) >= 0
    assert model.attributes["gen_ai.usage.input_tokens"] == 3
    assert [one.name for one in model.events] == ["agent.hypervisor.usage.recorded"]
    assert tool.attributes["gen_ai.tool.call.id"] == "c1"
    assert [one.name for one in tool.events] == ["agent.hypervisor.vfs.write"]
    assert [one.name for one in lead.events] == ["agent.hypervisor.agent.handoff"]
    assert work_of(bus) == {
        "run answer": ("ok", "ok", None),
        "agent lead": ("ok", "ok", "run answer"),
        "agent builder": ("ok", "ok", "run answer"),
        "model m-1": ("ok", "ok", "agent lead"),
        "tool search": ("ok", "ok", "agent lead"),
        "handoff did:lead to did:builder": ("", "", "agent lead"),
    }


@pytest.mark.parametrize(
    ("how", "status", "word"),
    [
        ("failed", SpanStatus.ERROR, "FAILED"),
        ("blocked", SpanStatus.ERROR, "BLOCKED"),
        ("cancelled", SpanStatus.UNSET, "cancelled"),
        ("expired", SpanStatus.UNSET, "expired"),
    ],
)
def test_readers_agree_on_how_a_call_ended(
    bus: HypervisorEventBus, recorder: Recorder, how: str, status: SpanStatus, word: str
) -> None:
    recorder.open("tool", 1, tool_name="search")
    errors = {"failed": ValueError("no"), "cancelled": CancelledError()}
    recorder.close(1, errors.get(how), status=None if how in errors else how)

    span = spans_of(bus)["execute_tool search"]
    assert span.status is status
    assert span.attributes.get("error.type") == {
        "failed": "ValueError",
        "blocked": "policy_denied",
    }.get(how)
    assert work_of(bus)["tool search"][1] == word


def test_run_says_what_conversation_it_belongs_to(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    recorder.open("run", 1, name="answer", conversation_id="chat-7")
    recorder.close(1)

    span = spans_of(bus)["invoke_workflow answer"]
    assert span.attributes["gen_ai.conversation.id"] == "chat-7"


def test_call_without_a_causal_id_has_a_span_too() -> None:
    assembler = SpanAssembler()
    spans = [
        span
        for kind in ("tool.started", "tool.finished")
        for span in assembler.feed(
            HypervisorEvent(
                event_type=EventType.of(kind),
                agent_did="did:a",
                payload={"tool_name": "search", "status": "ok"},
            )
        )
    ]

    assert [span.name for span in spans] == ["execute_tool search"]


def test_end_of_a_call_that_nobody_saw_begin_is_counted() -> None:
    assembler = SpanAssembler()
    end = HypervisorEvent(event_type=EventType.of("model.finished"), causal_trace_id="t/s")

    assert assembler.feed(end) == []
    assert assembler.unmatched == 1


def test_open_calls_go_on_in_another_process(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.run("answer"), recorder.tool("search"):
        pass
    first, *others = bus.all_events
    assembler = SpanAssembler()
    assembler.feed(first)
    other = SpanAssembler.from_state(assembler.state())

    assert [span.name for event in others for span in other.feed(event)] == [
        "execute_tool search",
        "invoke_workflow answer",
    ]


def test_killed_agent_ends_its_calls(bus: HypervisorEventBus, recorder: Recorder) -> None:
    recorder.open("agent", "a", agent_did="did:a")
    recorder.open("tool", "t", "a", tool_name="search")
    recorder.point("security.agent_killed", "a", reason="manual")

    assert {span.status for span in spans_of(bus).values()} == {SpanStatus.ERROR}


def links_of(spans: dict[str, FinishedSpan], name: str) -> list[str]:
    """Give the names of the spans that took over from which the span with *name* links."""
    by_id = {(span.trace_id, span.span_id): span.name for span in spans.values()}
    return [
        by_id[link.trace_id, link.span_id]
        for link in spans[name].links
        if link.attributes["link.type"] == "handoff"
    ]


USAGE = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "agent.hypervisor.cost",
    "agent.hypervisor.currency",
    "agent.hypervisor.estimated_cost",
    "agent.hypervisor.prices",
)


def used_by(
    bus: HypervisorEventBus, prices: Prices | None = None
) -> dict[str, dict[str, AttributeValue]]:
    """Give what the spans tell of usage, by their names."""
    assembler = SpanAssembler(prices=prices)
    spans = [span for event in bus.all_events for span in assembler.feed(event)]
    return {
        span.name: {key: span.attributes[key] for key in USAGE if key in span.attributes}
        for span in spans
    }


def test_span_of_a_model_tells_what_it_was_used_for_and_no_other_does(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a", name="a"):
        with recorder.model("m-1"):
            recorder.usage(model="m-1", input_tokens=3, cost=0.25, currency="USD")
            recorder.usage(model="m-1", input_tokens=4, output_tokens=5, cost=0.5, currency="USD")
            recorder.usage(model="m-1", cost=9, currency="EUR")
        recorder.usage(model="m-1", input_tokens=7, cost=0.75, currency="USD")  # the sum

    assert used_by(bus) == {
        "chat m-1": dict(zip(USAGE, (7, 5, 0.75, "USD"), strict=False)),
        "invoke_agent a": {},
    }


def test_span_of_a_model_tells_an_estimate_apart_from_a_cost_that_was_told(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    prices = Prices()
    with recorder.model("gpt-4o"):
        recorder.usage(model="gpt-4o", provider="openai", input_tokens=1_000)
    with recorder.model("m-1"):
        recorder.usage(model="m-1", input_tokens=1_000)
    (event, *_) = [one for one in bus.all_events if one.event_type == "usage.recorded"]
    estimate = prices.cost("gpt-4o", "openai", 1_000, 0, event.timestamp)

    assert estimate
    assert used_by(bus, prices) == {
        "chat gpt-4o": {USAGE[0]: 1_000, USAGE[4]: estimate, USAGE[5]: prices.name},
        "chat m-1": {USAGE[0]: 1_000},
    }
    assert used_by(bus)["chat gpt-4o"] == {USAGE[0]: 1_000}


def test_agent_that_takes_over_links_to_the_one_that_handed_over(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:lead", name="lead"):
            recorder.handoff("did:builder")
        with recorder.agent("did:other", name="other"):
            pass
        with recorder.agent("did:builder", name="builder"):
            pass

    spans = spans_of(bus)
    assert links_of(spans, "invoke_agent builder") == ["invoke_agent lead"]
    assert links_of(spans, "invoke_agent other") == links_of(spans, "invoke_agent lead") == []


@pytest.mark.parametrize("taker", ["did:builder", "builder"])
@pytest.mark.parametrize("giver", ["did:lead", "lead", None])
@pytest.mark.parametrize("before", [True, False])
def test_handoff_calls_agents_by_their_dids_or_by_their_names(
    bus: HypervisorEventBus, recorder: Recorder, giver: str | None, taker: str, before: bool
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:lead", name="lead"):
            if before or giver is None:
                recorder.handoff(taker, from_agent=giver)
        if not before and giver is not None:
            recorder.handoff(taker, from_agent=giver)
        with recorder.agent("did:builder", name="builder"):
            pass

    assert links_of(spans_of(bus), "invoke_agent builder") == ["invoke_agent lead"]


def test_agent_that_works_already_may_be_called_by_its_name(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a", name="a"), recorder.agent("did:b", name="b"):
        recorder.handoff("a")

    assert links_of(spans_of(bus), "invoke_agent a") == ["invoke_agent b"]


def test_did_of_an_agent_is_nobody_else_s_name(bus: HypervisorEventBus, recorder: Recorder) -> None:
    with recorder.run("answer"):
        with recorder.agent("writer", name="scribe"):
            pass
        with recorder.agent("did:a", name="writer"):
            pass
        recorder.handoff("did:c", from_agent="writer")
        with recorder.agent("did:c", name="c"):
            recorder.handoff("writer")
        with recorder.agent("did:d", name="writer"):
            pass
        with recorder.agent("writer", name="scribe again"):
            pass

    spans = spans_of(bus)
    assert links_of(spans, "invoke_agent c") == ["invoke_agent scribe"]
    assert links_of(spans, "invoke_agent writer") == []
    assert links_of(spans, "invoke_agent scribe again") == ["invoke_agent c"]


def test_name_holds_in_its_session_and_in_no_other(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.session("s1"), recorder.agent("did:a", name="a"):
        recorder.handoff("b")
    with recorder.session("s2"), recorder.agent("did:elsewhere", name="b"):
        pass
    elsewhere = links_of(spans_of(bus), "invoke_agent b")
    with recorder.session("s1"), recorder.agent("did:b", name="b"):
        pass

    assert elsewhere == []
    assert links_of(spans_of(bus), "invoke_agent b") == ["invoke_agent a"]


def test_handoff_told_of_within_a_tool_or_after_the_agent_is_one_between_agents(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:a", name="a"), recorder.tool("transfer"):
            recorder.handoff("did:b")
        with recorder.agent("did:b", name="b"):
            pass
        recorder.handoff("did:c", from_agent="did:b")
        with recorder.agent("did:c", name="c"):
            pass

    spans = spans_of(bus)
    assert links_of(spans, "invoke_agent b") == ["invoke_agent a"]
    assert links_of(spans, "invoke_agent c") == ["invoke_agent b"]


def test_agent_that_works_already_links_to_who_hands_back(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.agent("did:a", name="a"), recorder.agent("did:b", name="b"):
        recorder.handoff("did:a")

    assert links_of(spans_of(bus), "invoke_agent a") == ["invoke_agent b"]


def test_handoff_holds_in_its_session_and_in_no_other(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.session("s1"), recorder.agent("did:a", name="a"):
        recorder.handoff("did:b")
    with recorder.session("s2"), recorder.agent("did:b", name="elsewhere"):
        pass
    with recorder.session("s1"), recorder.agent("did:b", name="b"):
        pass

    spans = spans_of(bus)
    assert links_of(spans, "invoke_agent elsewhere") == []
    assert links_of(spans, "invoke_agent b") == ["invoke_agent a"]


@pytest.mark.parametrize("taker", ["did:b", "b"])
def test_handoff_is_linked_in_another_process(
    bus: HypervisorEventBus, recorder: Recorder, taker: str
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:a", name="a"):
            pass
        recorder.handoff(taker, from_agent="a")
        with recorder.agent("did:b", name="b"):
            pass
    assembler = SpanAssembler()
    found: dict[str, FinishedSpan] = {}
    for event in bus.all_events:
        found.update((span.name, span) for span in assembler.feed(event))
        assembler = SpanAssembler.from_state(json.loads(json.dumps(assembler.state())))

    assert links_of(found, "invoke_agent b") == ["invoke_agent a"]


def test_handoffs_that_an_earlier_version_saved_are_linked(
    bus: HypervisorEventBus, recorder: Recorder
) -> None:
    with recorder.run("answer"):
        with recorder.agent("did:a", name="a"):
            pass
        recorder.handoff("did:b", from_agent="did:a")
        with recorder.agent("did:b", name="b"):
            pass
    assembler = SpanAssembler()
    found: dict[str, FinishedSpan] = {}
    for event in bus.all_events:
        found.update((span.name, span) for span in assembler.feed(event))
        state = assembler.state()
        state["handoffs"]["latest"] = [
            one for one in state["handoffs"]["latest"] if one[2].startswith("did:")
        ]
        del state["handoffs"]["named"]
        assembler = SpanAssembler.from_state(json.loads(json.dumps(state)))

    assert links_of(found, "invoke_agent b") == ["invoke_agent a"]


def test_handoffs_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoffs, "MAX_AGENTS", 3)
    assembler = SpanAssembler()
    for number in range(100):
        for kind, payload in (
            ("session.joined", {}),
            ("agent.handoff", {"to_agent": f"did:{number % 10}"}),
            ("agent.handoff", {"to_agent": "did:never"}),
        ):
            assembler.feed(
                HypervisorEvent(
                    event_type=EventType.of(kind),
                    agent_did=f"did:giver-{number}",
                    session_id="s",
                    payload=payload,
                )
            )

    state = assembler.state()["handoffs"]
    assert len(state["latest"]) == 3
    assert len(state["waiting"]) == 3
    assert max(len(waiting) for _, waiting in state["waiting"]) == handoffs.MAX_HANDOFFS
