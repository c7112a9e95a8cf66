"""Writes what was seen: in the right place, and as the table of payloads has it."""

import weakref
from collections.abc import Hashable
from typing import Any

from attrs import define, field

from hypervisor_agent_hypervisor.told import Told, drop_oldest
from hypervisor_agent_hypervisor.values import Payload, fitting
from hypervisor_agent_hypervisor.work import MAX_KEPT, Kept, SagaWork, SessionWork, Steps, new_key
from hypervisor_observability import EventType, HypervisorEvent, current_trace
from hypervisor_observability.events import clock
from hypervisor_observability.recorder import HERE, Recorder
from hypervisor_observability.recorder.kinds import KINDS, KindName
from hypervisor_observability.sources import SourceContext

_Begun = tuple[KindName, str | None, str | None, Payload]
_PARTS = ("fan_out", "step", "compensation")
_TOO_MANY = "more have begun than are followed at once"


@define(eq=False)
class Writer:
    """Writes events about their work.

    What the source sees stands below the scope that the running code is in, where that has a causal
    id; else below the agent that it is about, who has joined a session; else in that session.

    Attributes:
        context: Of the source.
        sessions: Those that have begun.
        sagas: Likewise.
        steps: Likewise.
        told: What was recorded lately.
    """

    context: SourceContext
    sessions: Kept[SessionWork] = field(init=False)
    sagas: Kept[SagaWork] = field(init=False)
    steps: Steps = field(factory=Steps, init=False)
    told: Told = field(factory=Told, init=False)
    _open: dict[Hashable, _Begun] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.sessions = Kept(lambda session: self.end_session(session, "expired", _TOO_MANY))
        self.sagas = Kept(lambda saga: self.end_saga_as_it_stands(saga, _TOO_MANY))

    @property
    def recorder(self) -> Recorder:
        """Writes the events."""
        return self.context.recorder

    # Events

    def point(
        self,
        kind: EventType,
        session_id: str | None,
        agent_did: str | None,
        /,
        *,
        below: Hashable | None = None,
        **payload: Any,
    ) -> None:
        """Record an event without an extent; *below* is where, if it is not the usual place."""
        said = fitting(kind.value, payload)
        self.recorder.point(
            kind,
            self.place_of(session_id, agent_did) if below is None else below,
            session_id=session_id or None,
            agent_did=agent_did or None,
            **said,
        )
        self.told.note(kind.value, session_id, agent_did, said)

    def open(
        self,
        kind: KindName,
        key: Hashable,
        below: Hashable | None,
        session_id: str | None,
        agent_did: str | None = None,
        /,
        *,
        timestamp_ns: int | None = None,
        activate: bool = False,
        **payload: Any,
    ) -> None:
        """Record that work began."""
        begins = KINDS[kind].begins.value
        said = fitting(begins, payload)
        self._open[key] = (kind, session_id, agent_did, said)
        if len(self._open) > MAX_KEPT:  # the recorder has ended the oldest
            drop_oldest(self._open)
        self.told.note(begins, session_id, agent_did, said)
        self.recorder.open(
            kind,
            key,
            below,
            session_id=session_id or None,
            agent_did=agent_did or None,
            timestamp_ns=timestamp_ns,
            activate=activate,
            **said,
        )

    def close(
        self, key: Hashable, error: BaseException | str | None = None, /, **payload: Any
    ) -> HypervisorEvent | None:
        """Record that work ended."""
        begun = self._open.pop(key, None)
        event = self.recorder.close(key, error, **payload)
        if event is not None and begun is not None:
            _, session_id, agent_did, said = begun
            self.told.note(event.event_type.value, session_id, agent_did, said)
        return event

    def decision(
        self,
        session_id: str | None,
        agent_did: str | None,
        /,
        *,
        allowed: bool,
        tool_name: object,
        seconds: float,
        reason: object = None,
        **payload: Any,
    ) -> None:
        """Record what was decided, and how long that took."""
        self.point(
            EventType.of("governance.decision"),
            session_id,
            agent_did,
            allowed=allowed,
            tool_name=tool_name,
            evaluation_ms=seconds * 1e3,
            reason=reason,
            **payload,
        )

    def place_of(self, session_id: str | None, agent_did: str | None) -> Hashable:
        """Give the key of where what is about an agent in a session stands."""
        if current_trace() is not None:
            return HERE
        session = self.sessions.get(session_id)
        if session is None:
            return HERE
        try:
            return session.agents.get(agent_did or "", session.key)
        except TypeError:  # what cannot be hashed
            return session.key

    # Sessions

    def session_of(self, sso: Any) -> SessionWork:
        """Give the session of their object; it begins here if nobody saw its beginning."""
        known = self.sessions.get(sso.session_id)
        if known is not None and (known.sso() is sso or known.created_at == sso.created_at):
            return known
        if known is not None:
            self.end_session(known, "expired", "another session of this id has begun")
        return self._begin_session(sso)

    def _begin_session(self, sso: Any) -> SessionWork:
        session_id = sso.session_id
        session = SessionWork(
            session_id,
            weakref.ref(sso),
            new_key("session", session_id),
            created_at=sso.created_at,
        )
        self.sessions.put(session_id, session)
        config = sso.config
        below = HERE if current_trace() is not None else None
        self.open(
            "session",
            session.key,
            below,
            session_id,
            consistency_mode=getattr(config.consistency_mode, "value", config.consistency_mode),
            max_participants=config.max_participants,
            max_duration_seconds=config.max_duration_seconds,
            min_eff_score=config.min_eff_score,
            enable_audit=config.enable_audit,
            attributes={"creator_did": str(sso.creator_did)},
        )
        return session

    def end_session(
        self,
        session: SessionWork,
        status: str | None = None,
        reason: str | None = None,
        **payload: Any,
    ) -> None:
        """Record that a session ended, and with it its sagas and agents."""
        if session.is_over:
            return
        session.is_over = True
        self.sessions.is_over(session.session_id, session)
        for saga in list(session.sagas.values()):
            self.end_saga_as_it_stands(saga, reason if status == "expired" else None)
        while session.agents:
            _, key = session.agents.popitem()
            self.close(key, status=status, reason=reason)
        self.close(session.key, status=status, reason=reason, **payload)

    # Sagas

    def saga_of(self, saga: Any) -> SagaWork:
        """Give the saga of their object; it begins here if nobody saw its beginning."""
        return self.sagas.get(saga.saga_id) or self.new_saga(saga.saga_id, saga.session_id)

    def new_saga(self, saga_id: str, session_id: str | None) -> SagaWork:
        """Begin a saga. Where its agent is open, it waits for its first step to tell."""
        work = SagaWork(saga_id, session_id)
        self.sagas.put(saga_id, work)
        session = self.sessions.get(session_id)
        if session is not None:
            session.sagas[saga_id] = work
        if session is not None and len(session.agents) != 1 and current_trace() is None:
            work.created_ns = clock.now_ns()
        else:
            self.open_saga(work)
        return work

    def open_saga(self, work: SagaWork, agent_did: str | None = None) -> None:
        """Record that a saga began, unless that was done.

        It belongs to the work around the code; else to the agent of its first step, or the only one
        of its session; else to the session.
        """
        if work.key is not None:
            return
        work.key = new_key("saga", work.saga_id)
        session = self.sessions.get(work.session_id)
        if agent_did is None and session is not None and len(session.agents) == 1:
            (agent_did,) = list(session.agents)
        joined = session is not None and agent_did in session.agents
        self.open(
            "saga",
            work.key,
            self.place_of(work.session_id, agent_did),
            work.session_id,
            agent_did if joined else None,
            timestamp_ns=work.created_ns,
            saga_id=work.saga_id,
        )

    def end_saga(self, work: SagaWork, error: str | None = None, **payload: Any) -> None:
        """Record that a saga ended, unless that was done."""
        self.open_saga(work)
        session = self.sessions.get(work.session_id)
        if session is not None:
            session.sagas.pop(work.saga_id, None)
        if not work.is_over:
            work.is_over = True
            self.sagas.is_over(work.saga_id, work)
            self.close(work.key, error, **payload)

    def end_saga_as_it_stands(self, work: SagaWork, unfollowed: str | None = None) -> None:
        """Record that a saga ended whose end nobody tells, as of all that succeed.

        *unfollowed* is why it is followed no longer, where its session has not ended.
        """
        failures = list(work.failures.values())
        if failures:
            self.end_saga(work, failures[0])
        elif work.is_compensating or work.running:
            self.end_saga(work, status="expired", reason="it was left in the middle")
        elif unfollowed is not None and (work.undone or not work.has_steps):
            self.end_saga(work, status="expired", reason=unfollowed)
        else:
            self.end_saga(work)

    def end_all(self, reason: str) -> None:
        """Record that whatever is open is no longer followed."""
        for key, (kind, *_) in list(self._open.items()):
            if kind in _PARTS:
                self.close(key, status="expired", reason=reason)
        for session in self.sessions.newest_first():
            self.end_session(session, "expired", reason)
        for saga in self.sagas.newest_first():
            self.end_saga_as_it_stands(saga, reason)
