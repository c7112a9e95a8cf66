"""Sessions, who works in them, their files: what is seen of their whole life."""

import asyncio
import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
from hypervisor.core import Hypervisor
from hypervisor.models import ExecutionRing, SessionConfig
from hypervisor.session import SessionParticipantError, SharedSessionObject
from hypervisor.session.intent_locks import IntentLockManager, LockContentionError, LockIntent
from hypervisor.session.isolation import IsolationLevel, SessionIsolationManager
from hypervisor.session.sso import VFSPermissionError
from hypervisor.session.vector_clock import CausalViolationError, VectorClockManager

from hypervisor_agent_hypervisor import work
from hypervisor_observability import Recorder, current_trace
from tests.sources.governed import all_of, governed, only, trees, types_of

A, B = "did:mesh:a", "did:mesh:b"


def session_of(*dids: str, session_id: str | None = None) -> SharedSessionObject:
    """Give a session that *dids* have joined."""
    sso = SharedSessionObject(SessionConfig(), "did:mesh:admin", session_id)
    sso.begin_handshake()
    for did in dids:
        sso.join(did, sigma_raw=0.8, eff_score=0.8, ring=ExecutionRing.RING_2_STANDARD)
    return sso


def test_life_of_a_session_is_seen() -> None:
    async def main() -> str:
        hypervisor = Hypervisor()
        managed = await hypervisor.create_session(
            SessionConfig(max_participants=3), "did:mesh:admin"
        )
        session_id: str = managed.sso.session_id
        await hypervisor.join_session(session_id, A, sigma_raw=0.85)
        await hypervisor.activate_session(session_id)
        managed.delta_engine.capture(A, [])
        await hypervisor.terminate_session(session_id)
        return session_id

    with governed() as bus:
        session_id = asyncio.run(main())

    assert types_of(bus) == [
        "session.created",
        "verification.history_verified",
        "session.joined",
        "ring.assigned",
        "session.activated",
        "audit.delta_captured",
        "agent.finished",
        "session.terminated",
        "audit.committed",
        "audit.gc_collected",
        "session.archived",
    ]
    told = [
        event for event in bus.all_events if event.event_type != "verification.history_verified"
    ]
    assert {event.session_id for event in told} == {session_id}
    assert only(bus, "session.created").payload["max_participants"] == 3
    joined = only(bus, "session.joined")
    assert (joined.agent_did, joined.payload["ring"], joined.payload["eff_score"]) == (A, 2, 0.85)
    assert joined.parent_event_id == only(bus, "session.created").event_id
    assert only(bus, "session.terminated").payload["participant_count"] == 1
    archived = only(bus, "session.archived").payload
    root = only(bus, "audit.committed").payload["hash_chain_root"]
    assert (archived["hash_chain_root"], archived["retained_deltas"]) == (root, 1)
    assert trees(bus) == [f"agent {A} ok"]


def test_agent_that_leaves_has_finished_before_its_session_ends() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        sso.leave(A)
        sso.activate()
        sso.terminate()
        sso.archive()

    finished = all_of(bus, "agent.finished")
    assert [event.agent_did for event in finished] == [A, B]
    assert types_of(bus).index("agent.finished") < types_of(bus).index("session.activated")


def test_what_fails_is_no_event() -> None:
    with governed() as bus:
        sso = session_of(A)
        with pytest.raises(SessionParticipantError, match="already in session"):
            sso.join(A)
        with pytest.raises(SessionParticipantError):
            sso.leave(B)
        with pytest.raises(SessionParticipantError):
            sso.update_ring(B, ExecutionRing.RING_1_PRIVILEGED)
        with pytest.raises(FileNotFoundError):
            sso.vfs.delete("nothing", A)
        with pytest.raises(KeyError):
            sso.vfs.restore_snapshot("nothing", A)
        with pytest.raises(TypeError):
            sso.vfs.write("too few")

    assert types_of(bus)[:3] == ["session.created", "session.joined", "ring.assigned"]
    assert len(all_of(bus, "session.joined")) == 1
    assert not [one for one in types_of(bus) if one.startswith(("vfs.", "governance."))]


def test_ring_that_changes_is_assigned_or_a_demotion() -> None:
    with governed() as bus:
        sso = session_of(A)
        sso.update_ring(A, ExecutionRing.RING_1_PRIVILEGED)
        sso.update_ring(A, ExecutionRing.RING_1_PRIVILEGED)
        sso.update_ring(A, ExecutionRing.RING_3_SANDBOX)

    first, second = all_of(bus, "ring.assigned")
    assert (first.payload["ring"], second.payload["ring"]) == (2, 1)
    demoted = only(bus, "ring.demoted").payload
    assert (demoted["from_ring"], demoted["to_ring"]) == (1, 3)


def test_files_are_written_by_who_wrote_them() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        sso.activate()
        first = sso.vfs.write("plan.md", "one", A)
        second = sso.vfs.write("plan.md", "two", B)
        snapshot = sso.create_vfs_snapshot()
        sso.vfs.delete("plan.md", A)
        sso.restore_vfs_snapshot(snapshot, B)

    writes = all_of(bus, "vfs.write")
    assert [one.agent_did for one in writes] == [A, B]
    assert [one.payload["operation"] for one in writes] == ["create", "update"]
    assert writes[1].payload["previous_hash"] == first.content_hash
    assert writes[1].payload["content_hash"] == second.content_hash
    joined = {one.agent_did: one.causal_trace_id for one in all_of(bus, "session.joined")}
    assert [one.causal_trace_id for one in writes] == [joined[A], joined[B]]
    assert only(bus, "vfs.snapshot").payload == {"snapshot_id": snapshot}
    assert only(bus, "vfs.restore").agent_did == B
    assert only(bus, "vfs.delete").payload["path"].endswith("/plan.md")


def test_file_that_is_out_of_reach_is_a_refused_decision() -> None:
    with governed() as bus:
        sso = session_of(A, B)
        sso.vfs.write("secret", "x", A)
        sso.vfs.set_permissions("secret", {A}, A)
        calls: list[Callable[[], object]] = [
            lambda: sso.vfs.write("secret", "y", B),
            lambda: sso.vfs.read("secret", B),
            lambda: sso.vfs.delete("secret", B),
        ]
        for refused in calls:
            with pytest.raises(VFSPermissionError):
                refused()
        assert sso.vfs.read("secret", A) == "x"

    decisions = all_of(bus, "governance.decision")
    assert [one.payload["tool_name"] for one in decisions] == [
        "vfs.write",
        "vfs.read",
        "vfs.delete",
    ]
    for one in decisions:
        assert one.agent_did == B
        assert one.payload["allowed"] is False
        assert 0 < one.payload["evaluation_ms"] < 60_000
        assert "not permitted" in one.payload["reason"]


def test_conflict_over_a_file_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preview never rejects; what does, under these methods, is seen by its errors."""

    def contended(*_: object, **__: object) -> None:
        raise LockContentionError("held")

    def reordered(*_: object, **__: object) -> None:
        raise CausalViolationError("stale")

    monkeypatch.setattr(IntentLockManager, "acquire", _like(IntentLockManager.acquire, contended))
    monkeypatch.setattr(VectorClockManager, "write", _like(VectorClockManager.write, reordered))
    with governed() as bus:
        with pytest.raises(LockContentionError):
            IntentLockManager().acquire(A, "s-1", "/plan.md", LockIntent.WRITE)
        with pytest.raises(CausalViolationError):
            VectorClockManager().write("/plan.md", B)

    locked, stale = all_of(bus, "vfs.conflict")
    assert (locked.session_id, locked.agent_did) == ("s-1", A)
    assert (locked.payload["path"], locked.payload["operation"]) == ("/plan.md", "lock write")
    assert (stale.agent_did, stale.payload["operation"]) == (B, "write")


def _like(plain: object, other: object) -> object:
    from functools import wraps

    return wraps(plain)(other)  # type: ignore[arg-type]  # a method, which is a function


def test_isolation_of_sessions_is_decisions() -> None:
    with governed() as bus:
        manager = SessionIsolationManager()
        manager.create_scope("s-1", A, IsolationLevel.SNAPSHOT)
        assert manager.check_access("s-1", "/var/agt/sessions/s-1/x")
        assert not manager.check_access("s-1", "/var/agt/sessions/s-2/x")
        assert not manager.check_access("s-9", "/x")
        assert not manager.grant_cross_session_access("s-1", "s-2")

    decisions = all_of(bus, "governance.decision")
    assert [one.payload["allowed"] for one in decisions] == [True, False, False, False]
    assert [one.agent_did for one in decisions] == [A, A, None, A]
    assert {one.payload["tool_name"] for one in decisions} == {"session.access", "session.grant"}


def test_session_that_is_given_an_id_again_ends_the_one_before() -> None:
    with governed() as bus:
        first = session_of(A, session_id="s-1")
        second = session_of(A, session_id="s-1")
        second.activate()
        second.terminate()
        del first

    assert len(all_of(bus, "session.created")) == 2
    ended = all_of(bus, "session.terminated")
    assert [one.payload.get("status") for one in ended] == ["expired", None]
    assert len(all_of(bus, "agent.finished")) == len(all_of(bus, "session.joined")) == 2


def test_copy_of_a_session_is_the_same_session() -> None:
    with governed() as bus:
        sso = session_of(A)
        copied = copy.deepcopy(sso)
        copied.activate()
        sso.vfs.write("x", "1", A)
        sso.activate()
        sso.terminate()

    assert len(all_of(bus, "session.created")) == len(all_of(bus, "session.terminated")) == 1
    assert only(bus, "session.terminated").payload.get("status") is None


@pytest.mark.parametrize("odd", [7, ("a", 1), "", "s" * 5000])
def test_session_may_have_any_id(odd: Any) -> None:
    with governed() as bus:
        sso = session_of(A, session_id=odd)
        sso.activate()
        sso.vfs.write("x", "1", A)
        sso.terminate()

    assert len(all_of(bus, "session.created")) == len(all_of(bus, "session.terminated")) == 1
    assert only(bus, "vfs.write").causal_trace_id == only(bus, "session.joined").causal_trace_id


def test_agent_of_any_kind_may_write() -> None:
    with governed() as bus:
        sso = session_of(A)
        sso.vfs.write("x", "1", ["not", "an", "id"])

    assert only(bus, "vfs.write").session_id == sso.session_id


def test_what_is_open_at_the_end_is_ended_then() -> None:
    with governed() as bus:
        sso = session_of(A)
        assert sso.participant_count == 1

    assert types_of(bus)[-2:] == ["agent.finished", "session.terminated"]
    assert only(bus, "agent.finished").payload["status"] == "expired"
    assert only(bus, "session.terminated").payload["reason"] == "the source has stopped"


def test_session_that_began_before_the_source_is_taken_up() -> None:
    sso = session_of(A)
    with governed() as bus:
        sso.join(B)
        sso.activate()
        sso.terminate()

    assert types_of(bus)[0] == "session.created"
    assert [one.agent_did for one in all_of(bus, "session.joined")] == [B]
    assert types_of(bus)[-1] == "session.terminated"


def test_application_that_stands_in_work_of_its_own_has_all_of_it_below() -> None:
    with governed() as bus:
        recorder = Recorder(bus)
        with recorder.agent("did:mesh:planner"), recorder.tool("hire"):
            sso = session_of(A)
            sso.vfs.write("x", "1", A)
            sso.activate()
            sso.terminate()
        assert current_trace() is None

    assert trees(bus) == [
        "agent did:mesh:planner ok",
        "  tool hire ok",
        f"    agent {A} ok",
    ]
    written, called = only(bus, "vfs.write"), only(bus, "tool.started")
    assert written.causal_trace_id == called.causal_trace_id
    assert written.agent_did == A


def test_objects_of_the_framework_are_not_kept_alive() -> None:
    import weakref

    with governed():
        sso = session_of(A)
        gone = weakref.ref(sso)
        del sso
        gc.collect()
        assert gone() is None


def test_long_session_does_not_give_way_to_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_KEPT", 20)
    with governed() as bus:
        first = session_of(A)
        for _ in range(50):
            session_of(B).terminate()
        first.activate()
        assert only(bus, "session.activated").session_id == first.session_id
        assert len(all_of(bus, "session.created")) == 51
        assert {one.payload.get("status") for one in all_of(bus, "session.terminated")} == {None}
        crowd = [session_of(B) for _ in range(20)]
        oldest = all_of(bus, "session.terminated")[-1]
        assert (oldest.session_id, oldest.payload["status"]) == (first.session_id, "expired")
        assert len(crowd) == 20
