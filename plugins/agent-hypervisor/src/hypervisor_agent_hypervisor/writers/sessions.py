"""Sessions: their lives, who works in them, and what they may reach."""

from hypervisor_agent_hypervisor.values import seconds_between, word
from hypervisor_agent_hypervisor.work import new_key
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType, current_trace
from hypervisor_observability.recorder import HERE


def created(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.__init__``."""
    writer.session_of(call.target)


def joined(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.join``: an agent begins its work there, in a ring."""
    participant = call.result
    session = writer.session_of(call.target)
    did, ring = participant.agent_did, word(participant.ring)
    below = HERE if current_trace() is not None else session.key
    session.joined.add(did)
    key = session.agents[did] = new_key("agent", did)
    writer.told.note(EventType.RING_ASSIGNED.value, session.session_id, did, {"ring": ring})
    writer.open(
        "agent",
        key,
        below,
        session.session_id,
        did,
        ring=ring,
        sigma_raw=participant.sigma_raw,
        eff_score=participant.eff_score,
    )


def left(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.leave``: the agent has finished."""
    key = writer.session_of(call.target).agents.pop(call.given["agent_did"], None)
    if key is not None:
        writer.close(key)


def activated(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.activate``."""
    session = writer.session_of(call.target)
    count = call.target.participant_count
    writer.point(
        EventType.SESSION_ACTIVATED,
        session.session_id,
        None,
        below=session.key,
        participant_count=count,
    )


def terminated(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.terminate``: the session ends, and all that is open in it."""
    session = writer.session_of(call.target)
    writer.end_session(session, participant_count=call.target.participant_count)


def archived(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.archive``."""
    sso, session = call.target, writer.session_of(call.target)
    writer.point(
        EventType.SESSION_ARCHIVED,
        session.session_id,
        None,
        below=session.key,
        participant_count=sso.participant_count,
        duration_seconds=seconds_between(sso.created_at, sso.terminated_at),
        **session.audit,
    )


def ring_before(_: Writer, call: Call) -> object:
    """Note the ring that an agent has before ``SharedSessionObject.update_ring``."""
    participant = call.target._participants.get(call.given.get("agent_did"))
    return None if participant is None else word(participant.ring)


def ring_updated(writer: Writer, call: Call) -> None:
    """``SharedSessionObject.update_ring``: a ring with fewer rights is a demotion."""
    before, now = call.before, word(call.given["new_ring"])
    if before == now:
        return
    demoted = isinstance(before, int) and isinstance(now, int) and now > before
    rings = {"from_ring": before, "to_ring": now} if demoted else {"ring": now, "from_ring": before}
    writer.point(
        EventType.RING_DEMOTED if demoted else EventType.RING_ASSIGNED,
        call.target.session_id,
        call.given["agent_did"],
        **rings,
    )


def access_checked(writer: Writer, call: Call) -> None:
    """``SessionIsolationManager.check_access``."""
    session_id = call.given["session_id"]
    _isolation(writer, call, "session.access", "outside the session's scope", session_id)


def access_granted(writer: Writer, call: Call) -> None:
    """``SessionIsolationManager.grant_cross_session_access``."""
    session_id = call.given["session_id"]
    _isolation(writer, call, "session.grant", "the isolation of the session forbids it", session_id)


def _isolation(writer: Writer, call: Call, what: str, refusal: str, session_id: str) -> None:
    scope = call.target.get_scope(session_id)
    writer.decision(
        session_id,
        None if scope is None else scope.agent_did,
        allowed=bool(call.result),
        tool_name=what,
        seconds=call.seconds,
        reason=None if call.result else ("no such scope" if scope is None else refusal),
    )


def write_conflicted(writer: Writer, call: Call) -> None:
    """``VectorClockManager.write`` that raised: somebody else has written meanwhile."""
    if not call.raised("CausalViolationError"):
        return
    path, did = call.given["path"], call.given["agent_did"]
    clocks = call.target.get_path_clock(path).clocks
    others = [one for one in clocks if one != did]
    writer.point(
        EventType.VFS_CONFLICT,
        None,
        did,
        path=path,
        operation="write",
        vector_clock=dict(clocks),
        conflicting_agent_did=others[0] if len(others) == 1 else None,
        attributes={"error": str(call.error)},
    )


def lock_conflicted(writer: Writer, call: Call) -> None:
    """``IntentLockManager.acquire`` that raised: somebody else has the lock."""
    if not call.raised("LockContentionError", "DeadlockError"):
        return
    given = call.given
    holders = {lock.agent_did for lock in call.target.get_resource_locks(given["resource_path"])}
    holders.discard(given["agent_did"])
    writer.point(
        EventType.VFS_CONFLICT,
        given["session_id"],
        given["agent_did"],
        path=given["resource_path"],
        operation=f"lock {word(given['intent'])}",
        conflicting_agent_did=holders.pop() if len(holders) == 1 else None,
        attributes={"error": str(call.error)},
    )
