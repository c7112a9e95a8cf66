"""The spans of sessions, agents, elevations, quarantines and decisions; what happens within."""

import json
from typing import Any

import pytest

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    SpanStatus,
)
from hypervisor_observability.events.event_types import AGENT_FINISHED, GOVERNANCE_DECISION
from hypervisor_observability.spans import open_span, saga_memory, work
from hypervisor_observability.spans.assembly import SpanAssembler
from hypervisor_observability.spans.record import SpanKind

S = EventType
AGENT = "did:mesh:worker"


def event(event_type: EventType, at: float = 100.0, **fields: Any) -> HypervisorEvent:
    causal = fields.pop("causal", None)
    return HypervisorEvent(
        event_type=event_type,
        timestamp=at,
        causal_trace_id=causal.full_id if isinstance(causal, CausalTraceId) else causal,
        agent_did=fields.pop("agent", AGENT),
        session_id=fields.pop("session", "s"),
        payload=fields,
    )


def assemble(*events: HypervisorEvent) -> list[FinishedSpan]:
    assembler = SpanAssembler()
    return [span for one in events for span in assembler.feed(one)]


def links_of(span: FinishedSpan) -> list[tuple[object, str]]:
    return [(link.attributes["link.type"], link.span_id) for link in span.links]


# Sessions


def test_session_is_a_workflow_of_its_own_trace_from_creation_to_termination() -> None:
    created = event(S.SESSION_CREATED, 100, agent=None, conversation_id="c-1")

    (span,) = assemble(created, event(S.SESSION_TERMINATED, 107, agent=None))

    assert span.name == "invoke_workflow hypervisor.session"
    assert (span.scope, span.session_id, span.duration_seconds) == ("session", "s", 7.0)
    assert (span.status, span.parent_span_id, span.pending) == (SpanStatus.OK, None, False)
    assert span.attributes["gen_ai.conversation.id"] == "c-1"


def test_session_without_an_id_or_without_a_start_is_no_span() -> None:
    assembler = SpanAssembler()

    for ignored in (
        event(S.SESSION_CREATED, session=None),
        event(S.SESSION_TERMINATED, session=None),
        event(S.SESSION_TERMINATED),
        event(S.SESSION_ARCHIVED),
    ):
        assert assembler.feed(ignored) == []

    assert (assembler.open_spans, assembler.unmatched) == (0, 1)


def test_session_is_told_of_twice_under_the_same_ids_where_that_is_asked() -> None:
    assembler = SpanAssembler(pending=True)

    (begun,) = assembler.feed(event(S.SESSION_CREATED, 100))
    (ended,) = assembler.feed(event(S.SESSION_TERMINATED, 105, status="error", error="lost"))

    assert (begun.pending, begun.duration_seconds) == (True, 0.0)
    assert (begun.trace_id, begun.span_id) == (ended.trace_id, ended.span_id)
    assert (ended.pending, ended.status, ended.status_message) == (False, SpanStatus.ERROR, "lost")


def test_end_of_a_session_ends_what_is_in_it_but_its_sagas() -> None:
    spans = assemble(
        event(S.SESSION_CREATED, 100),
        event(S.SESSION_JOINED, 101, causal=CausalTraceId()),
        event(S.RING_ELEVATED, 102, from_ring=3, to_ring=1),
        event(S.SAGA_CREATED, 103, saga_id="long"),
        event(S.SESSION_TERMINATED, 104),
        event(S.SAGA_COMPLETED, 110, saga_id="long"),
    )

    assert [span.scope for span in spans] == ["elevation", "agent", "session", "saga"]
    elevation, agent, session, saga = spans
    for span in (elevation, agent):
        assert span.attributes["agent.hypervisor.ended_by"] == "session"
        assert span.status is SpanStatus.UNSET
    assert links_of(agent) == [("session", session.span_id)]
    assert saga.duration_seconds == 7.0


# Agents


def test_agent_that_is_called_elsewhere_is_a_client() -> None:
    (span,) = assemble(
        event(S.SESSION_JOINED, causal=CausalTraceId(), remote=True, name="mover"),
        event(S.RING_ASSIGNED, ring=2),
        event(AGENT_FINISHED, agent=AGENT, status="error", error="no", error_type="Timeout"),
    )

    assert (span.name, span.kind) == ("invoke_agent mover", SpanKind.CLIENT)
    assert span.attributes["agent.hypervisor.ring"] == 2
    assert span.attributes["error.type"] == "Timeout"
    assert (span.status, span.status_message) == (SpanStatus.ERROR, "no")


def test_agent_links_to_the_caller_whose_trace_was_not_continued() -> None:
    caller = CausalTraceId()
    joined = event(S.SESSION_JOINED, causal=CausalTraceId(), caller_trace=caller.full_id)

    (span,) = assemble(joined, event(AGENT_FINISHED, causal=joined.causal_trace_id))

    assert links_of(span) == [("caller", caller.to_w3c()[1])]


def test_end_of_an_agent_that_never_began_is_counted() -> None:
    assembler = SpanAssembler()

    assert assembler.feed(event(AGENT_FINISHED, causal=CausalTraceId())) == []
    assert assembler.feed(event(AGENT_FINISHED, agent=None)) == []
    assert assembler.unmatched == 2


def test_death_of_an_agent_ends_all_that_it_has_open_innermost_first() -> None:
    trace = CausalTraceId()
    assembler = SpanAssembler()
    for begun in (
        event(S.SESSION_CREATED),
        event(S.SESSION_JOINED, causal=trace),
        event(S.SESSION_JOINED, session="other", causal=CausalTraceId()),
        event(S.SESSION_JOINED, agent="did:mesh:other", causal=trace.child()),
        event(S.SAGA_CREATED, causal=trace.child(), saga_id="d"),
        event(S.SAGA_STEP_STARTED, saga_id="d", action="a"),
        event(S.QUARANTINE_ENTERED, reason="drift"),
    ):
        assembler.feed(begun)

    assert assembler.feed(event(S.AGENT_KILLED, agent=None)) == []
    spans = assembler.feed(event(S.AGENT_KILLED, 105, reason="rogue", kill_id="k"))

    assert [span.scope for span in spans] == ["quarantine", "step", "saga", "agent"]
    assert {span.attributes["error.type"] for span in spans} == {"agent_killed"}
    assert {span.status for span in spans} == {SpanStatus.ERROR}
    assert {span.status_message for span in spans} == {"agent killed: rogue"}
    # Its own ends, which come later, are no second spans.
    for late in (
        event(AGENT_FINISHED, causal=trace),
        event(S.SAGA_STEP_FAILED, saga_id="d", action="a"),
        event(S.SAGA_COMPLETED, saga_id="d"),
    ):
        assert assembler.feed(late) == []
    assert assembler.open_spans == 3  # the session, the other agent, and its work elsewhere
    assert [span.session_id for span in assembler.feed(event(S.AGENT_KILLED, session=None))] == [
        "other"
    ]


# Rings, quarantines, decisions


@pytest.mark.parametrize("end", [S.RING_DEMOTED, S.RING_ELEVATION_EXPIRED])
def test_elevation_is_a_child_of_its_agent_and_tells_what_ended_it(end: EventType) -> None:
    elevation, agent = assemble(
        event(S.SESSION_JOINED, 100, causal=CausalTraceId(), ring=3),
        event(S.RING_ELEVATED, 101, from_ring=3, to_ring=0, elevation_id="e"),
        event(end, 104, from_ring=0, to_ring=3, elevation_id="e"),
        event(AGENT_FINISHED, 105, agent=AGENT),
    )

    assert (elevation.name, elevation.duration_seconds) == ("ring.elevate 3→0", 3.0)
    assert elevation.parent_span_id == agent.span_id
    assert elevation.attributes["agent.hypervisor.to_ring"] == 0
    assert elevation.attributes["agent.hypervisor.ended_by"] == end.value.partition(".")[2]


def test_end_without_an_id_is_that_of_the_agents_newest_elevation() -> None:
    (newest,) = assemble(
        event(S.RING_DEMOTED),
        event(S.RING_ELEVATED, 100, elevation_id="e1", from_ring="odd"),
        event(S.RING_ELEVATED, 101, elevation_id="e2"),
        event(S.RING_DEMOTED, 103),
    )

    assert (newest.name, newest.duration_seconds) == ("ring.elevate", 2.0)


def test_quarantine_lasts_until_it_is_released() -> None:
    assembler = SpanAssembler()
    assembler.feed(event(S.QUARANTINE_ENTERED, 100, quarantine_id="q"))

    (span,) = assembler.feed(event(S.QUARANTINE_RELEASED, 160, quarantine_id="q"))

    assert (span.name, span.duration_seconds) == ("quarantine", 60.0)
    assert assembler.feed(event(S.QUARANTINE_RELEASED, quarantine_id="q")) == []
    assert assembler.unmatched == 1


def test_decisions_are_spans_of_the_tool_that_take_no_time() -> None:
    trace = CausalTraceId()
    allowed, refused, nameless, agent = assemble(
        event(S.SESSION_JOINED, causal=trace),
        event(GOVERNANCE_DECISION, allowed=True, tool_name="read", evaluation_ms=0.25),
        event(GOVERNANCE_DECISION, causal=trace, allowed=False, tool_name="sh", reason="ring 3"),
        event(GOVERNANCE_DECISION, allowed=False),
        event(AGENT_FINISHED, causal=trace),
    )

    assert (allowed.name, allowed.status) == ("execute_tool read", SpanStatus.UNSET)
    assert allowed.attributes["agent.hypervisor.policy.decision"] == "allow"
    assert allowed.attributes["agent.hypervisor.policy.evaluation_ms"] == 0.25
    assert (refused.status, refused.status_message) == (SpanStatus.ERROR, "ring 3")
    assert refused.attributes["error.type"] == "policy_denied"
    assert (nameless.name, nameless.status_message) == ("execute_tool unknown", "denied")
    for span in (allowed, refused, nameless):
        assert (span.duration_seconds, span.parent_span_id) == (0.0, agent.span_id)


# What happens at one moment


def test_point_events_stand_in_the_span_around_them_in_order_of_time() -> None:
    trace = CausalTraceId()
    saga_id = trace.child()
    step, saga, agent, session = assemble(
        event(S.SESSION_CREATED, 100),
        event(S.SESSION_JOINED, 101, causal=trace),
        event(S.SAGA_CREATED, 102, causal=saga_id, saga_id="d"),
        event(S.SAGA_STEP_STARTED, 103, causal=saga_id.child(), saga_id="d", step_id="a"),
        event(S.SAGA_CHECKPOINT_SAVED, 104, saga_id="d", step_id="a", checkpoint_id="c"),
        event(S.VFS_WRITE, 103.5, saga_id="d", step_id="a", path="/secret"),
        event(S.AUDIT_COMMITTED, 104, saga_id="d"),
        event(S.BEHAVIOR_DRIFT, 104, causal=saga_id.child(), drift_score=0.5),
        event(S.RATE_LIMITED, 104, agent="did:mesh:unknown", causal=trace.child().child()),
        event(S.IDENTITY_VERIFIED, 104),
        event(S.VOUCH_CREATED, 104, agent="did:mesh:unknown"),
        event(S.VOUCH_CREATED, 104, agent=None, session=None),
        event(S.SAGA_STEP_COMMITTED, 105, saga_id="d", step_id="a"),
        event(S.SAGA_COMPLETED, 106, saga_id="d"),
        event(AGENT_FINISHED, 107, causal=trace),
        event(S.SESSION_TERMINATED, 108),
    )

    def names(span: FinishedSpan) -> list[str]:
        return [one.name.removeprefix("agent.hypervisor.") for one in span.events]

    # The rate limit has no more than its trace, of which the step is the newest.
    assert names(step) == ["vfs.write", "saga.checkpoint_saved", "security.rate_limited"]
    assert names(saga) == ["audit.committed", "verification.behavior_drift"]
    assert names(agent) == ["security.identity_verified"]
    assert names(session) == ["liability.vouch_created"]
    assert step.events[1].attributes["agent.hypervisor.checkpoint_id"] == "c"
    assert "/secret" not in str(step.events)


def test_breach_that_was_denied_is_a_failure_of_the_span() -> None:
    trace = CausalTraceId()
    (seen,) = assemble(
        event(S.SESSION_JOINED, causal=trace),
        event(S.RING_BREACH_DETECTED, causal=trace, severity="low"),
        event(AGENT_FINISHED, causal=trace),
    )
    (denied,) = assemble(
        event(S.SESSION_JOINED, causal=trace),
        event(S.RING_BREACH_DETECTED, causal=trace, severity="high", allowed=False),
        event(AGENT_FINISHED, causal=trace),
    )

    assert (seen.status, len(seen.events)) == (SpanStatus.OK, 1)
    assert (denied.status, denied.status_message) == (SpanStatus.ERROR, "ring breach denied")


def test_fault_links_to_the_spans_of_the_agents_to_blame() -> None:
    trace, blamed = CausalTraceId(), CausalTraceId()
    other, agent = assemble(
        event(S.SESSION_JOINED, causal=trace),
        event(S.SESSION_JOINED, agent="did:mesh:other", causal=blamed),
        event(
            S.FAULT_ATTRIBUTED,
            causal=trace,
            attributions=[{"agent_did": "did:mesh:other"}, {"agent_did": AGENT}, {}, "odd"],
        ),
        event(S.FAULT_ATTRIBUTED, causal=trace, attributions="odd"),
        event(AGENT_FINISHED, agent="did:mesh:other", causal=blamed),
        event(AGENT_FINISHED, causal=trace),
    )

    assert links_of(agent) == [("fault", other.span_id)]
    assert len(agent.events) == 2


def test_events_and_links_of_a_span_are_bounded_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_span, "MAX_SPAN_EVENTS", 3)
    trace = CausalTraceId()
    others = [event(S.SESSION_JOINED, agent=f"did:{n}", causal=CausalTraceId()) for n in range(5)]
    blame = [{"agent_did": f"did:{n}"} for n in range(5)]

    (span,) = assemble(
        event(S.SESSION_JOINED, causal=trace),
        *others,
        *(event(S.VFS_WRITE, causal=trace) for _ in range(6)),
        event(S.FAULT_ATTRIBUTED, causal=trace, attributions=blame),
        event(AGENT_FINISHED, causal=trace),
    )

    assert (len(span.events), len(span.links)) == (3, 3)
    assert span.attributes["agent.hypervisor.dropped_events"] == 4


# Sagas among them


def test_retry_links_to_the_attempt_before_and_handed_over_work_to_what_was_done() -> None:
    keys: dict[str, Any] = {"saga_id": "d", "step_id": "a"}
    first, second, third, _ = assemble(
        event(S.SAGA_CREATED, saga_id="d"),
        event(S.SAGA_HANDOFF, **keys),
        event(S.SAGA_STEP_STARTED, attempt=1, **keys),
        event(S.SAGA_STEP_FAILED, attempt=1, **keys),
        event(S.SAGA_STEP_STARTED, attempt=2, **keys),
        event(S.SAGA_HANDOFF, to_agent="did:mesh:other", **keys),
        event(S.SAGA_HANDOFF, status="failed", **keys),
        event(S.SAGA_STEP_STARTED, attempt=3, agent="did:mesh:other", **keys),
        event(S.SAGA_STEP_COMMITTED, attempt=2, **keys),
        event(S.SAGA_STEP_COMMITTED, attempt=3, **keys),
        event(S.SAGA_COMPLETED, saga_id="d"),
    )

    assert links_of(first) == []
    assert links_of(second) == [("retry_of", first.span_id)]
    assert links_of(third) == [("handoff", second.span_id)]
    assert [one.name for one in second.events] == ["agent.hypervisor.security.saga_handoff"] * 2


def test_compensation_links_to_what_failed_and_to_what_it_undoes_and_to_no_other() -> None:
    spans = {
        span.name: span
        for span in assemble(
            event(S.SAGA_CREATED, saga_id="d"),
            event(S.SAGA_STEP_STARTED, saga_id="d", step_id="load"),
            event(S.SAGA_STEP_COMMITTED, saga_id="d", step_id="load"),
            event(S.SAGA_STEP_FAILED, saga_id="d", step_id="check"),
            event(S.SAGA_COMPENSATING, saga_id="d", step_id="undo", phase="started",
                  compensates_step_id="load"),
            event(S.SAGA_COMPENSATING, saga_id="d", step_id="undo", phase="succeeded"),
            event(S.SAGA_COMPENSATING, saga_id="d", step_id="check", phase="failed"),
            event(S.SAGA_COMPENSATING, saga_id="d", step_id="at once"),
            event(S.SAGA_ESCALATED, saga_id="d"),
        )
    }  # fmt: skip
    failed, saga = spans["saga.step.check"], spans["saga"]
    undo, again = spans["saga.compensate.undo"], spans["saga.compensate.check"]

    assert links_of(undo) == [
        ("caused_by", failed.span_id),
        ("compensates", spans["saga.step.load"].span_id),
    ]
    assert undo.parent_span_id == saga.span_id
    assert undo.status is SpanStatus.OK
    # What failed has done nothing that could be undone.
    assert links_of(again) == [("caused_by", failed.span_id)]
    assert again.status is SpanStatus.ERROR
    assert spans["saga.compensate.at once"].duration_seconds == 0


@pytest.mark.fault("G2")
def test_children_that_come_before_their_saga_or_after_it_are_its_children() -> None:
    trace = CausalTraceId()
    early, saga, late = assemble(
        event(S.SAGA_STEP_COMMITTED, 101, causal=trace.child(), saga_id="d", step_id="a"),
        event(S.SAGA_CREATED, 100, causal=trace, saga_id="d", name="deploy"),
        event(S.SAGA_COMPLETED, 103, causal=trace, saga_id="d"),
        event(S.SAGA_STEP_COMMITTED, 102, causal=trace.child(), saga_id="d", step_id="b"),
        event(S.SAGA_STEP_STARTED, 101, causal=trace.child(), saga_id="d", step_id="b"),
        event(S.SAGA_COMPLETED, 103, causal=trace, saga_id="d"),
    )

    assert (saga.name, saga.duration_seconds) == ("saga deploy", 3.0)
    assert {early.parent_span_id, late.parent_span_id} == {saga.span_id}
    assert {span.trace_id for span in (early, saga, late)} == {trace.to_w3c()[0]}


@pytest.mark.fault("G2")
def test_saga_whose_creation_comes_after_its_end_begins_no_second_one() -> None:
    assembler = SpanAssembler()

    (saga,) = assembler.feed(event(S.SAGA_COMPLETED, 105, saga_id="d"))
    assert assembler.feed(event(S.SAGA_CREATED, 100, saga_id="d")) == []
    assert assembler.open_spans == 0

    # One that is created after that is another saga of the same name.
    assembler.feed(event(S.SAGA_CREATED, 110, saga_id="d"))
    (again,) = assembler.feed(event(S.SAGA_COMPLETED, 111, saga_id="d"))
    assert again.span_id != saga.span_id


def test_what_is_remembered_of_sagas_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga_memory, "MAX_FINISHED", 3)
    monkeypatch.setattr(saga_memory, "MAX_ENDED", 2)
    monkeypatch.setattr(work, "MAX_REMEMBERED_ENDS", 2)
    assembler = SpanAssembler()
    for number in range(6):
        for one in (
            event(S.SAGA_CREATED, saga_id=f"{number}"),
            event(S.SAGA_STEP_COMMITTED, saga_id=f"{number}", step_id="a"),
            event(S.SAGA_STEP_COMMITTED, saga_id=f"{number}", step_id="b"),
        ):
            assembler.feed(one)
    state = assembler.state()
    assert sum(len(saga[3]) for _, saga in state["sagas"]) == 3
    assert len(state["not_begun"]) == 2

    for number in range(6):
        assembler.feed(event(S.SAGA_COMPLETED, saga_id=f"{number}"))
        assembler.feed(event(S.SAGA_STEP_STARTED, saga_id=f"{number}", step_id="late"))

    assert len(assembler.state()["ended"]) == 2
    # What began after its saga's end goes when the saga is forgotten.
    assert assembler.open_spans == 2


@pytest.mark.slow
@pytest.mark.fault("G2")
def test_hundred_thousand_open_spans_are_bounded_and_counted() -> None:
    assembler = SpanAssembler()
    expired = 0
    for number in range(100_000):
        begun = event(S.QUARANTINE_ENTERED, agent=f"did:{number}", quarantine_id=f"{number}")
        for span in assembler.feed(begun):
            assert span.attributes["agent.hypervisor.expired"] is True
            expired += 1

    assert assembler.open_spans == work.MAX_OPEN
    assert assembler.expired == expired == 100_000 - work.MAX_OPEN
    assert len(assembler.state()["cut_short"]) == work.MAX_REMEMBERED_ENDS


@pytest.mark.parametrize("cut", range(1, 9))
def test_another_process_goes_on_wherever_the_first_one_ended(cut: int) -> None:
    trace = CausalTraceId()
    events = [
        event(S.SESSION_CREATED, 100),
        event(S.SESSION_JOINED, 101, causal=trace),
        event(S.RING_ELEVATED, 102, causal=trace, from_ring=3, to_ring=1),
        event(S.SAGA_CREATED, 103, causal=trace.child(), saga_id="d"),
        event(S.SAGA_STEP_FAILED, 104, saga_id="d", step_id="a"),
        event(S.VFS_WRITE, 105, saga_id="d"),
        event(S.SAGA_COMPENSATING, 106, saga_id="d", step_id="a", phase="started"),
        event(S.AGENT_KILLED, 107),
        event(S.SAGA_COMPLETED, 108, saga_id="d"),
        event(S.SESSION_TERMINATED, 109),
    ]
    first = SpanAssembler()
    spans = [span for one in events[:cut] for span in first.feed(one)]

    second = SpanAssembler.from_state(json.loads(json.dumps(first.state())))
    spans += [span for one in events[cut:] for span in second.feed(one)]

    assert spans == assemble(*events)
    assert second.open_spans == 0


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({}, "expected saved spans of version"),
        ({"version": 3}, "damaged: KeyError"),
        ({**SpanAssembler().state(), "open": [[1]]}, "damaged: ValueError"),
    ],
)
def test_saved_state_that_is_none_is_refused(state: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SpanAssembler.from_state(state)
