"""Saga spans: the exporter that people make themselves, and the assembly beneath it."""

import hashlib
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import (
    CausalTraceId,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    HypervisorEventBus,
    SagaSpanExporter,
    SagaSpanRecord,
    SpanSink,
    SpanStatus,
)
from hypervisor_observability.events.event_types import AGENT_FINISHED
from hypervisor_observability.spans import identity, work
from hypervisor_observability.spans.assembly import SpanAssembler

S = EventType


def event(event_type: EventType, at: float = 100.0, **fields: Any) -> HypervisorEvent:
    causal = fields.pop("causal", None)
    return HypervisorEvent(
        event_type=event_type,
        timestamp=at,
        causal_trace_id=causal,
        agent_did=fields.pop("agent", None),
        session_id=fields.pop("session", None),
        payload=fields,
    )


def assemble(*events: HypervisorEvent) -> list[FinishedSpan]:
    assembler = SpanAssembler()
    return [span for one in events for span in assembler.feed(one)]


class Sink:
    def __init__(self) -> None:
        self.spans: list[tuple[str, float, float, dict[str, Any], str]] = []

    def record_span(
        self,
        name: str,
        start_time: float,
        end_time: float,
        attributes: dict[str, Any],
        status: str,
    ) -> None:
        self.spans.append((name, start_time, end_time, attributes, status))


# The exporter


def test_committed_step_is_a_span_with_the_documented_attributes(bus: HypervisorEventBus) -> None:
    exporter = SagaSpanExporter(bus)
    step = {"saga_id": "deploy-v2", "step_id": "validate-config", "step_action": "validate"}

    bus.emit(event(S.SAGA_CREATED, saga_id="deploy-v2"))
    bus.emit(event(S.SAGA_STEP_STARTED, 100.0, agent="did:o", session="s1", **step))
    bus.emit(
        event(S.SAGA_STEP_COMMITTED, 100.5, agent="did:o", session="s1", result="fine", **step)
    )

    (span,) = exporter.completed_spans
    assert (span.name, span.status, span.duration_seconds) == ("saga.step.validate", "ok", 0.5)
    assert (span.saga_id, span.step_id, span.step_action) == (
        "deploy-v2",
        "validate-config",
        "validate",
    )
    assert span.attributes == {
        "agent.saga.id": "deploy-v2",
        "agent.saga.step_id": "validate-config",
        "agent.saga.step_action": "validate",
        "agent.saga.state": "ok",
        "agent.saga.result": "fine",
        "agent.did": "did:o",
        "session.id": "s1",
    }
    assert exporter.events_processed == 3


def test_failure_compensation_and_completion_are_spans_of_their_own() -> None:
    bus = HypervisorEventBus()
    exporter = SagaSpanExporter(bus)

    bus.emit(event(S.SAGA_CREATED, 100, saga_id="d"))
    bus.emit(event(S.SAGA_STEP_STARTED, 101, saga_id="d", step_id="m", step_action="migrate"))
    bus.emit(
        event(
            S.SAGA_STEP_FAILED, 103, saga_id="d", step_id="m", step_action="migrate",
            error="connection_timeout", reason="unreachable",
        )
    )  # fmt: skip
    bus.emit(event(S.SAGA_COMPENSATING, 104, saga_id="d", step_id="r", step_action="rollback"))
    bus.emit(event(S.SAGA_COMPLETED, 110, saga_id="d"))

    failed, compensation, saga = exporter.completed_spans
    assert failed.status == "error"
    assert failed.attributes["agent.saga.error"] == "connection_timeout"
    assert failed.attributes["agent.saga.reason"] == "unreachable"
    assert (compensation.name, compensation.status) == ("saga.compensate.rollback", "compensating")
    assert compensation.duration_seconds == 0
    assert (saga.name, saga.status, saga.duration_seconds) == ("saga.completed.d", "ok", 10.0)
    assert (saga.step_id, saga.step_action) == ("", "complete")


def test_escalated_saga_is_an_error(bus: HypervisorEventBus) -> None:
    exporter = SagaSpanExporter(bus)

    bus.emit(event(S.SAGA_CREATED, saga_id="d"))
    bus.emit(event(S.SAGA_ESCALATED, saga_id="d", reason="no way back"))

    (saga,) = exporter.completed_spans
    assert (saga.name, saga.status, saga.step_action) == ("saga.escalated.d", "error", "escalate")
    assert saga.attributes["agent.saga.reason"] == "no way back"


def test_sink_gets_spans_while_attached_and_the_buffer_always(bus: HypervisorEventBus) -> None:
    first, second = Sink(), Sink()
    exporter = SagaSpanExporter(bus, sink=first)
    assert isinstance(first, SpanSink)

    for sink in (None, second):
        if sink is not None:
            exporter.attach_sink(sink)
        bus.emit(event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a"))
    exporter.detach_sink()
    bus.emit(event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a"))

    assert (len(first.spans), len(second.spans), len(exporter.completed_spans)) == (1, 1, 3)
    name, start, end, attributes, status = first.spans[0]
    assert (name, start, end, status) == ("saga.step.a", 100.0, 100.0, "ok")
    assert attributes["agent.saga.id"] == "d"


def test_sink_that_raises_is_logged_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def record_span(self, **_: object) -> None:
            raise OSError("gone")

    bus = HypervisorEventBus()
    exporter = SagaSpanExporter(bus, sink=Broken())  # type: ignore[arg-type]  # takes anything

    with caplog.at_level(logging.WARNING):
        bus.emit(event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a"))

    assert len(exporter.completed_spans) == 1
    assert "Broken raised" in caplog.text
    assert bus.handler_errors == 0


def test_completed_spans_are_bounded_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_observability.spans.sagas.MAX_COMPLETED_SPANS", 3)
    bus = HypervisorEventBus()
    exporter = SagaSpanExporter(bus)

    for number in range(5):
        bus.emit(event(S.SAGA_STEP_COMMITTED, saga_id="d", step_id=str(number)))

    assert [span.step_id for span in exporter.completed_spans] == ["2", "3", "4"]
    exporter.reset()
    assert (exporter.completed_spans, exporter.events_processed) == ([], 0)


def test_record_measures_in_float_seconds() -> None:
    record = SagaSpanRecord("n", "s", "i", "a", 1.0, 3.5, "ok")

    assert record.duration_seconds == 2.5
    assert record.attributes == {}


# Identities and parents


def test_saga_steps_and_compensations_have_the_propagated_ids_and_are_children() -> None:
    root = CausalTraceId()
    saga, step, undo = root.child(), None, None
    step, undo = saga.child(), saga.child()
    spans = assemble(
        event(S.SAGA_CREATED, saga_id="d", name="release", causal=saga.full_id),
        event(S.SAGA_STEP_STARTED, saga_id="d", action="a", causal=step.full_id),
        event(S.SAGA_STEP_COMMITTED, 101, saga_id="d", action="a", causal=step.full_id),
        event(S.SAGA_STEP_FAILED, 102, saga_id="d", action="b", error="no"),
        event(
            S.SAGA_COMPENSATING, 103, saga_id="d", step_id="undo-a", action="undo",
            compensates_step_id="a", phase="started", causal=undo.full_id,
        ),
        event(S.SAGA_COMPENSATING, 104, saga_id="d", step_id="undo-a", phase="succeeded"),
        event(S.SAGA_COMPLETED, 105, saga_id="d", outcome="compensated", causal=saga.full_id),
    )  # fmt: skip

    committed, failed, compensation, whole = spans
    assert (whole.trace_id, whole.span_id) == saga.to_w3c()
    assert whole.parent_span_id == root.to_w3c()[1]
    assert whole.name == "saga release"
    assert whole.attributes["agent.saga.outcome"] == "compensated"
    assert (committed.trace_id, committed.span_id) == step.to_w3c()
    assert committed.parent_span_id == failed.parent_span_id == whole.span_id
    assert (compensation.trace_id, compensation.span_id) == undo.to_w3c()
    assert compensation.parent_span_id == whole.span_id
    assert (compensation.start_ns, compensation.end_ns) == (103_000_000_000, 104_000_000_000)
    assert [(link.span_id, link.attributes["link.type"]) for link in compensation.links] == [
        (failed.span_id, "caused_by"),
        (committed.span_id, "compensates"),
    ]
    assert (failed.status, failed.status_message) == (SpanStatus.ERROR, "no")


def test_all_events_under_one_causal_id_still_give_distinct_spans_in_one_trace() -> None:
    causal = CausalTraceId()
    started = event(S.SAGA_STEP_STARTED, saga_id="d", action="a", causal=causal.full_id)
    step, saga = assemble(
        event(S.SAGA_CREATED, saga_id="d", causal=causal.full_id),
        started,
        event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a", causal=causal.full_id),
        event(S.SAGA_COMPLETED, saga_id="d", causal=causal.full_id),
    )

    assert (saga.trace_id, saga.span_id) == causal.to_w3c()
    digest = hashlib.sha256(f"hv-event\0{started.event_id}".encode()).hexdigest()
    assert step.span_id == digest[:16]
    assert (step.trace_id, step.parent_span_id) == (saga.trace_id, saga.span_id)


def test_saga_without_causal_ids_has_a_trace_of_its_own() -> None:
    created = event(S.SAGA_CREATED, saga_id="d")
    step, saga = assemble(
        created,
        event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a", causal="not an id"),
        event(S.SAGA_COMPLETED, saga_id="d"),
    )

    digest = hashlib.sha256(f"hv-saga\0d\0{created.event_id}".encode()).hexdigest()
    assert saga.trace_id == step.trace_id == digest[:32]
    assert (saga.parent_span_id, step.parent_span_id) == (None, saga.span_id)


def test_step_in_another_trace_refers_to_the_saga() -> None:
    saga_id, elsewhere = CausalTraceId(), CausalTraceId()
    (step,) = assemble(
        event(S.SAGA_CREATED, saga_id="d", causal=saga_id.full_id),
        event(S.SAGA_STEP_COMMITTED, saga_id="d", action="a", causal=elsewhere.full_id),
    )

    assert (step.trace_id, step.span_id) == elsewhere.to_w3c()
    assert step.parent_span_id is None
    assert [(link.trace_id, link.span_id) for link in step.links] == [saga_id.to_w3c()]


def test_remembered_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAX_REMEMBERED_IDS", 2)
    identities = identity.SpanIdentities()
    ids = [CausalTraceId().full_id for _ in range(3)]

    for causal in ids:
        assert identities.of(event(S.SAGA_CREATED, causal=causal)) is not None

    again = identities.of(event(S.SAGA_CREATED, causal=ids[0]))
    assert again is not None
    assert again.span_id == CausalTraceId.from_string(ids[0]).to_w3c()[1]


@pytest.mark.fault("G1")
def test_same_events_give_the_same_spans_again() -> None:
    causal = CausalTraceId()
    events = [
        event(S.SAGA_CREATED, saga_id="d", causal=causal.full_id),
        event(S.SAGA_STEP_FAILED, saga_id="d", action="a"),
        event(S.SAGA_ESCALATED, saga_id="d"),
    ]

    assert assemble(*events) == assemble(*events)


# Agents


def test_agent_is_a_span_from_joining_to_finishing() -> None:
    boss, worker = CausalTraceId(), None
    worker = boss.child()
    first, second = assemble(
        event(S.SESSION_JOINED, 100, agent="did:mesh:boss", ring=2, causal=boss.full_id),
        event(S.SESSION_JOINED, 101, agent="did:mesh:w", name="packer", causal=worker.full_id),
        event(AGENT_FINISHED, 102, causal=worker.full_id, status="error", error="full disk"),
        event(AGENT_FINISHED, 103, causal=boss.full_id, status="ok"),
    )

    assert (first.name, first.status, first.status_message) == (
        "invoke_agent packer",
        SpanStatus.ERROR,
        "full disk",
    )
    assert first.parent_span_id == second.span_id
    assert second.name == "invoke_agent boss"
    assert second.duration_seconds == 3.0
    assert second.attributes["gen_ai.agent.id"] == "did:mesh:boss"
    assert second.attributes["agent.hypervisor.ring"] == 2


def test_agents_that_nothing_tells_apart_or_that_join_twice_make_no_further_span() -> None:
    causal = CausalTraceId().full_id
    spans = assemble(
        event(S.SESSION_JOINED),
        event(AGENT_FINISHED),
        event(S.SESSION_JOINED, causal=causal),
        event(S.SESSION_JOINED, causal=causal),
        event(AGENT_FINISHED, causal=causal),
    )

    assert [span.name for span in spans] == ["invoke_agent agent"]


def test_agent_without_causal_id_is_told_apart_by_its_session() -> None:
    first, second = assemble(
        event(S.SESSION_JOINED, 100, agent="did:a", session="s"),
        event(S.SESSION_JOINED, 101, agent="did:a", session="t"),
        event(AGENT_FINISHED, 103, agent="did:a", session="s"),
        event(AGENT_FINISHED, 102, agent="did:a", session="t"),
    )

    assert (first.session_id, first.duration_seconds) == ("s", 3.0)
    assert (second.session_id, second.duration_seconds) == ("t", 1.0)


# Disorder and bounds


@pytest.mark.fault("G2")
def test_ends_without_starts_take_no_time() -> None:
    spans = assemble(
        event(S.SAGA_STEP_COMMITTED, 100, saga_id="d", action="a"),
        event(S.SAGA_COMPLETED, 101, saga_id="e"),
    )

    assert [span.duration_seconds for span in spans] == [0.0, 0.0]


def test_clock_that_steps_back_gives_no_negative_duration() -> None:
    (span, _) = assemble(
        event(S.SAGA_STEP_STARTED, 100, saga_id="d", action="a"),
        event(S.SAGA_STEP_COMMITTED, 90, saga_id="d", action="a"),
        event(S.SAGA_COMPLETED, 80, saga_id="d"),
    )

    assert span.duration_seconds == 0


def test_attempts_are_told_apart_and_an_end_without_attempt_finds_its_start() -> None:
    first, second, saga = assemble(
        event(S.SAGA_STEP_STARTED, 100, saga_id="d", action="a", attempt=1),
        event(S.SAGA_STEP_FAILED, 101, saga_id="d", action="a", attempt=1),
        event(S.SAGA_STEP_STARTED, 102, saga_id="d", action="a", attempt=2),
        event(S.SAGA_STEP_COMMITTED, 104, saga_id="d", action="a"),
        event(S.SAGA_COMPLETED, 105, saga_id="d"),
    )

    assert (first.attributes["agent.saga.attempt"], first.duration_seconds) == (1, 1.0)
    assert (second.attributes["agent.saga.attempt"], second.duration_seconds) == (2, 2.0)
    assert first.span_id != second.span_id
    assert saga.scope == "saga"


def test_unfinished_parts_are_given_out_marked() -> None:
    twice, open_step, open_undo, saga, left = assemble(
        event(S.SAGA_STEP_STARTED, saga_id="d", action="a"),
        event(S.SAGA_STEP_STARTED, saga_id="d", action="a"),
        event(S.SAGA_COMPENSATING, saga_id="d", action="u", phase="started"),
        event(S.SAGA_COMPLETED, saga_id="d"),
        event(S.SAGA_CREATED, saga_id="e"),
        event(S.SAGA_CREATED, saga_id="e"),
    )

    marked = [twice, open_step, open_undo, left]
    assert all(span.attributes["agent.hypervisor.expired"] is True for span in marked)
    assert all(span.status is SpanStatus.UNSET for span in marked)
    assert "agent.hypervisor.expired" not in saga.attributes


@pytest.mark.fault("G2")
def test_open_work_is_bounded_and_what_goes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_OPEN", 2)
    assembler = SpanAssembler()
    spans = []
    for number in range(4):
        if number > 1:
            spans += assembler.feed(event(S.SAGA_CREATED, saga_id=f"other {number}"))
            spans += assembler.feed(event(S.SAGA_STEP_STARTED, saga_id="3", action="again"))
        spans += assembler.feed(event(S.SESSION_JOINED, causal=CausalTraceId().full_id))
        spans += assembler.feed(event(S.SAGA_STEP_STARTED, saga_id="3", action=str(number)))
        spans += assembler.feed(
            event(S.SAGA_COMPENSATING, saga_id="3", action=str(number), phase="started")
        )
        spans += assembler.feed(
            event(S.SAGA_COMPENSATING, saga_id="3", action=str(number), phase="started")
        )
        assembler.feed(event(S.SAGA_STEP_COMMITTED, saga_id="3", action=f"x{number}"))

    assert all(span.attributes.get("agent.hypervisor.expired") for span in spans)
    assert assembler.expired == len(spans) > 0
    assert assembler.open_spans <= 2 + 2 + 2 + 2


def test_exporter_records_expired_sagas_too(bus: HypervisorEventBus) -> None:
    exporter = SagaSpanExporter(bus)

    bus.emit(event(S.SAGA_CREATED, saga_id="d"))
    bus.emit(event(S.SAGA_CREATED, saga_id="d"))

    (span,) = exporter.completed_spans
    assert (span.name, span.status, span.step_action) == ("saga.expired.d", "error", "expire")


odd = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*EventType, AGENT_FINISHED]),
            st.dictionaries(
                st.sampled_from(
                    ["saga_id", "step_id", "action", "attempt", "phase", "outcome", "name",
                     "ring", "status", "error", "compensates_step_id"]
                ),
                odd,
            ),
            st.sampled_from([None, "a1b2c3d4e5f6/01234567", "a1b2c3d4e5f6/89abcdef/01234567"]),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_events_in_any_order_give_well_formed_spans(
    rows: list[tuple[EventType, dict[str, Any], str | None]],
) -> None:
    assembler = SpanAssembler()
    seen = set()
    for event_type, payload, causal in rows:
        made = HypervisorEvent(event_type=event_type, payload=payload, causal_trace_id=causal)
        for span in assembler.feed(made):
            assert (len(span.trace_id), len(span.span_id)) == (32, 16)
            assert span.end_ns >= span.start_ns
            assert span.span_id != span.parent_span_id
            assert (span.trace_id, span.span_id) not in seen
            seen.add((span.trace_id, span.span_id))


def test_saga_of_a_causal_id_of_somebody_else_has_its_trace() -> None:
    step_id = CausalTraceId()
    (step,) = assemble(event(S.SAGA_STEP_COMMITTED, action="a", causal=step_id.full_id))

    assert (step.trace_id, step.span_id) == step_id.to_w3c()
    assert step.attributes["agent.saga.id"] == step_id.full_id
    assert step.parent_span_id not in {None, step.span_id}
