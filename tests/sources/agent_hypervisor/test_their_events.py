"""What a program emits on the bus of agent-hypervisor is taken over, and nothing twice."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypervisor.models import SessionConfig
from hypervisor.saga.orchestrator import SagaOrchestrator
from hypervisor.session import SharedSessionObject

from hypervisor.observability import CausalTraceId, EventType, HypervisorEvent, HypervisorEventBus
from hypervisor_agent_hypervisor.told import LATELY_SECONDS
from hypervisor_observability import EventType as OurEventType
from tests.sources.agent_hypervisor.test_sessions import A, B, session_of
from tests.sources.governed import all_of, governed, only, types_of


def emitted(kind: EventType, **fields: Any) -> HypervisorEvent:
    event = HypervisorEvent(event_type=kind, **fields)
    HypervisorEventBus().emit(event)
    return event


@pytest.mark.parametrize("kind", EventType, ids=lambda kind: kind.value)
def test_event_keeps_all_that_it_is(kind: EventType) -> None:
    trace = CausalTraceId().child()
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    with governed() as bus:
        event = emitted(
            kind,
            event_id="e-1",
            timestamp=when,
            session_id="s-1",
            agent_did=A,
            causal_trace_id=trace.full_id,
            parent_event_id="e-0",
        )

    (found,) = bus.all_events
    assert found.to_dict() == event.to_dict()
    assert found.event_type is OurEventType(kind.value)


def test_payload_is_kept_as_far_as_readers_know_it_and_else_as_attributes() -> None:
    payload = {
        "path": "/x", "team": "blue", "ring": 7, "nested": {"a": {"b": 1}, "list": [1, "two"]},
        "odd": object(), "when": datetime(2026, 1, 1, tzinfo=UTC), "nothing": None,
    }  # fmt: skip
    with governed() as bus:
        event = emitted(EventType.VFS_WRITE, payload=payload)
        assert event.payload is payload

    assert only(bus, "vfs.write").payload == {
        "path": "/x",
        "attributes": {
            "team": "blue", "ring": 7, "nested.a.b": 1, "nested.list": "1, two", "odd": "object",
            "when": "2026-01-01T00:00:00+00:00",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": datetime(2026, 1, 2)},  # noqa: DTZ001 - without a time zone, on purpose
        {"timestamp": "yesterday"},
        {"payload": None},
        {"payload": [1, 2]},
        {"payload": {1: "one", None: "none"}},
        {"causal_trace_id": "any/old/id/of/mine"},
        {"event_type": "acme.invoice_paid"},
        {"event_id": 7, "session_id": 8, "agent_did": 9},
    ],
)
def test_event_that_is_odd_is_taken_over_all_the_same(fields: dict[str, Any]) -> None:
    with governed() as bus:
        HypervisorEventBus().emit(HypervisorEvent(**{"event_type": EventType.VFS_WRITE, **fields}))

    (event,) = bus.all_events
    assert event.causal_trace_id == fields.get("causal_trace_id")
    assert event.event_type == fields.get("event_type", "vfs.write")


def test_their_bus_works_as_before() -> None:
    seen = []

    def handler(event: HypervisorEvent) -> None:
        seen.append(event)
        raise RuntimeError("handler")

    with governed() as bus:
        theirs = HypervisorEventBus()
        theirs.subscribe(EventType.VFS_WRITE, handler)
        event = HypervisorEvent(event_type=EventType.VFS_WRITE)
        with pytest.raises(RuntimeError, match="handler"):
            theirs.emit(event)
        assert seen == theirs.all_events == [event]
        with pytest.raises(AttributeError):
            theirs.emit("no event")  # type: ignore[arg-type]  # on purpose

    assert [one.event_id for one in bus.all_events] == [event.event_id]


def test_event_on_two_buses_is_one() -> None:
    event = HypervisorEvent(event_type=EventType.VFS_WRITE)
    with governed() as bus:
        HypervisorEventBus().emit(event)
        HypervisorEventBus().emit(event)

    assert len(bus.all_events) == 1


def test_what_the_source_has_seen_itself_is_not_taken_over() -> None:
    """As a program does that records by hand what agent-hypervisor does not."""

    async def main() -> None:
        sso = SharedSessionObject(SessionConfig(), "did:mesh:admin")
        session_id = sso.session_id
        emitted(EventType.SESSION_CREATED, session_id=session_id, payload={"by": "hand"})
        sso.begin_handshake()
        sso.join(A, eff_score=0.8)
        emitted(EventType.SESSION_JOINED, session_id=session_id, agent_did=A)
        emitted(EventType.RING_ASSIGNED, session_id=session_id, agent_did=A, payload={"ring": 3})
        made = SagaOrchestrator()
        saga = made.create_saga(session_id)
        emitted(EventType.SAGA_CREATED, session_id=session_id, payload={"saga_id": saga.saga_id})
        step = made.add_step(saga.saga_id, "book", A, "/book")
        told = {"saga_id": saga.saga_id, "step_id": step.step_id}
        emitted(EventType.SAGA_STEP_STARTED, session_id=session_id, payload=told)  # before it does

        async def work() -> None:
            sso.vfs.write("x", "1", A)
            emitted(EventType.VFS_WRITE, session_id=session_id, agent_did=A, payload={"path": "/x"})

        await made.execute_step(saga.saga_id, step.step_id, work)
        emitted(EventType.SAGA_STEP_COMMITTED, session_id=session_id, payload=told)
        sso.activate()
        emitted(EventType.SESSION_ACTIVATED, session_id=session_id)
        sso.terminate()
        emitted(EventType.SESSION_TERMINATED, session_id=session_id)

    with governed() as bus:
        asyncio.run(main())

    kinds = types_of(bus)
    assert sorted(kinds) == sorted(set(kinds))


def test_what_the_source_has_not_seen_is_taken_over_beside_it() -> None:
    with governed() as bus:
        sso = session_of(A)
        session_id = sso.session_id
        sso.vfs.write("x", "1", A)
        emitted(EventType.VFS_WRITE, session_id=session_id, agent_did=A, payload={"path": "/y"})
        emitted(EventType.VFS_WRITE, session_id=session_id, agent_did=B, payload={"path": "/x"})
        emitted(EventType.VFS_WRITE, session_id="s-other", agent_did=A, payload={"path": "/x"})
        emitted(EventType.VFS_WRITE, session_id=session_id, agent_did=A, payload={"path": "/x"})
        emitted(EventType.VFS_WRITE, session_id=session_id, agent_did=A, payload={"path": "/x"})
        emitted(EventType.SESSION_JOINED, session_id=session_id, agent_did=B)
        emitted(EventType.SAGA_CREATED, session_id=session_id, payload={"saga_id": "by hand"})

    paths = [one.payload["path"].rpartition("/")[2] for one in all_of(bus, "vfs.write")]
    assert paths == ["x", "y", "x", "x", "x"]  # the second repetition is news
    assert [one.agent_did for one in all_of(bus, "session.joined")] == [A, B]
    assert only(bus, "saga.created").payload == {"saga_id": "by hand"}


def test_what_was_seen_a_while_ago_is_not_what_is_told_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import time

    with governed() as bus:
        sso = session_of(A)
        sso.vfs.write("x", "1", A)
        now = time.monotonic()
        monkeypatch.setattr(
            "hypervisor_agent_hypervisor.told.time.monotonic", lambda: now + LATELY_SECONDS + 1
        )
        emitted(EventType.VFS_WRITE, session_id=sso.session_id, agent_did=A, payload={"path": "/x"})
        monkeypatch.undo()

    assert len(all_of(bus, "vfs.write")) == 2


def test_emit_of_a_bus_of_ours_is_not_theirs() -> None:
    from hypervisor_observability import HypervisorEventBus as OurBus

    with governed() as bus:
        OurBus().record(OurEventType.VFS_WRITE)
        assert HypervisorEventBus.__module__ == "hypervisor.observability.event_bus"

    assert bus.all_events == []
