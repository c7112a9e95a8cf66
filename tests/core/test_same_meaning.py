"""Spans, trees and reports tell the same of the same events."""

from asyncio import CancelledError
from typing import Any

import pytest

from hypervisor_observability import (
    EventType,
    HypervisorEvent,
    HypervisorEventBus,
    Recorder,
)
from hypervisor_observability.report import Findings
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import SpanStatus
from hypervisor_observability.tree import build_tree, tree_to_dict

STARTED, FAILED = EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_FAILED
COMMITTED, COMPENSATING = EventType.SAGA_STEP_COMMITTED, EventType.SAGA_COMPENSATING
Told = tuple[EventType, dict[str, Any]]


def told_by_spans(events: list[HypervisorEvent]) -> list[str]:
    assembler = SpanAssembler()
    ended = [span for event in events for span in assembler.feed(event)]
    well = {"step": "ok", "compensation": "compensated"}
    states = ["failed" if span.status is SpanStatus.ERROR else well[span.scope] for span in ended]
    return states + ["running"] * (assembler.open_spans - 1)  # the saga itself is open


def told_by_tree(events: list[HypervisorEvent]) -> list[str]:
    work = tree_to_dict(build_tree(events, "t"))["work"]
    return [
        "compensated" if (one["kind"], one["state"]) == ("compensation", "ok") else one["state"]
        for one in work
        if one["kind"] in {"step", "compensation"}
    ]


def told_by_report(events: list[HypervisorEvent]) -> list[str]:
    (saga,) = Findings.of(events).sagas.values()
    return [{"committed": "ok"}.get(piece.state, piece.state) for piece in saga.pieces]


@pytest.mark.parametrize(
    ("told", "states"),
    [
        ([(STARTED, {})], ["running"]),
        ([(STARTED, {}), (COMMITTED, {})], ["ok"]),
        ([(COMMITTED, {})], ["ok"]),
        (
            # An end that does not say its attempt is that of the newest.
            [
                (STARTED, {"attempt": 1}),
                (FAILED, {"attempt": 1}),
                (STARTED, {"attempt": 2}),
                (COMMITTED, {}),
            ],
            ["failed", "ok"],
        ),
        (
            [(STARTED, {"attempt": 1}), (STARTED, {"attempt": 2}), (FAILED, {"attempt": 1})],
            ["failed", "running"],
        ),
        ([(COMPENSATING, {"phase": "started"}), (COMPENSATING, {})], ["compensated"]),
        ([(COMPENSATING, {})], ["compensated"]),
        (
            [
                (COMPENSATING, {"phase": "started", "attempt": 1}),
                (COMPENSATING, {"phase": "failed", "attempt": 1}),
                (COMPENSATING, {"phase": "started", "attempt": 2}),
                (COMPENSATING, {"phase": "succeeded"}),
            ],
            ["failed", "compensated"],
        ),
        (
            [
                (COMPENSATING, {"phase": "started", "attempt": 1}),
                (COMPENSATING, {"phase": "started", "attempt": 2}),
                (COMPENSATING, {"phase": "succeeded", "attempt": 1}),
            ],
            ["compensated", "running"],
        ),
    ],
)
def test_readers_agree_on_how_the_parts_of_a_saga_ended(
    told: list[Told], states: list[str]
) -> None:
    events = [
        HypervisorEvent(
            event_type=kind,
            timestamp=1_000.0 + number,
            causal_trace_id="t/s",
            payload={"saga_id": "g", "step_id": "a", **payload},
        )
        for number, (kind, payload) in enumerate(told)
    ]

    for reader in (told_by_spans, told_by_tree, told_by_report):
        assert sorted(reader(events)) == sorted(states), reader.__name__


@pytest.mark.parametrize(
    ("payload", "decision"),
    [({"allowed": True}, "allowed"), ({"allowed": 0}, "denied"), ({}, "denied")],
)
def test_readers_agree_on_what_was_decided(payload: dict[str, Any], decision: str) -> None:
    event = HypervisorEvent(
        event_type=EventType.of("governance.decision"), causal_trace_id="t/s", payload=payload
    )
    (span,) = SpanAssembler().feed(event)
    refused = [one["kind"] for one in tree_to_dict(build_tree([event], "t"))["work"]]

    assert Findings.of([event]).decisions == {decision: 1}
    assert span.attributes["agent.hypervisor.policy.decision"] == decision.replace(
        "allowed", "allow"
    ).replace("denied", "deny")
    assert ("decision" in refused) == (decision == "denied")


def test_readers_agree_that_a_cancelled_agent_has_neither_failed_nor_succeeded() -> None:
    bus = HypervisorEventBus()
    with pytest.raises(CancelledError), Recorder(bus).agent("did:a"):
        raise CancelledError
    joined, finished = bus.all_events
    assembler = SpanAssembler()
    assembler.feed(joined)
    (span,) = assembler.feed(finished)
    (work,) = tree_to_dict(build_tree([joined, finished], trace_id_of(joined)))["work"]

    assert span.status is SpanStatus.UNSET
    assert span.attributes["agent.hypervisor.status"] == "cancelled"
    assert "error.type" not in span.attributes
    assert (work["state"], work["reason"]) == ("cancelled", "")


def trace_id_of(event: HypervisorEvent) -> str:
    return str(event.causal_trace_id).partition("/")[0]


@pytest.mark.parametrize("kind", ["run", "agent"])
def test_readers_agree_that_what_is_no_call_fails_where_it_says_that_it_was_blocked(
    kind: Any,
) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    trace = recorder.open(kind, 1, name="job")
    recorder.close(1, status="blocked", reason="not allowed")
    assert trace is not None

    assembler = SpanAssembler()
    spans = [span for event in bus.all_events for span in assembler.feed(event)]
    assert {span.status for span in spans} == {SpanStatus.ERROR}
    tree = tree_to_dict(build_tree(bus.all_events, trace.trace_id))
    states = {one["state"] for one in tree["work"]}
    assert states == {"failed"}
    if kind == "run":
        assert Findings.of(bus.all_events).activity.runs.by_name["job"].ends == {"error": 1}
