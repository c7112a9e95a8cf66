"""Events that the application emits on their bus by hand, of what the source does not see."""

from collections.abc import Mapping
from typing import Any

from hypervisor_agent_hypervisor.values import aware, fitting, word
from hypervisor_agent_hypervisor.wrapping import Call
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.events.ids import as_text

_OF_SAGAS = ("saga.step_", "saga.compensating", "saga.created", "saga.completed", "saga.escalated")


def emitted(writer: Writer, call: Call) -> None:
    """``HypervisorEventBus.emit`` of theirs, whether it returned or raised.

    Of a session or saga that the source follows, it knows each step of the life itself.
    """
    event: Any = call.given.get("event")
    if call.error is not None and not hasattr(event, "event_type"):
        return  # it was none
    kind = EventType.of(event.event_type)
    session_id, agent_did = event.session_id, event.agent_did
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    if (
        writer.told.is_known(as_text(event.event_id))
        or _follows(writer, kind.value, session_id, agent_did, payload)
        or writer.told.repeats(kind.value, session_id, agent_did, payload)
    ):
        return
    writer.recorder.emit(
        HypervisorEvent(
            event_id=event.event_id,
            event_type=kind,
            timestamp=aware(event.timestamp),
            session_id=session_id,
            agent_did=agent_did,
            causal_trace_id=event.causal_trace_id,
            parent_event_id=event.parent_event_id,
            payload=fitting(kind.value, {key: word(value) for key, value in payload.items()}),
        )
    )


def _follows(
    writer: Writer,
    kind: str,
    session_id: object,
    agent_did: object,
    payload: Mapping[str, object],
) -> bool:
    """Tell whether an event is of the life of something that the source follows."""
    if kind.startswith(_OF_SAGAS):
        return writer.sagas.get(payload.get("saga_id")) is not None
    if not kind.startswith("session."):
        return False
    session = writer.sessions.get(session_id)
    if session is None:
        return False
    return kind != EventType.SESSION_JOINED.value or agent_did in session.joined
