"""Agents at work, from joining to the end of their work."""

import time

from attrs import frozen

from ..causality import baggage
from ..causality.causal_trace import CausalTraceId
from ..causality.propagation import Extracted
from ..events import ids
from ..events.event_types import AGENT_FINISHED, EventType
from .event_writer import EventWriter
from .failure import describe
from .opened import Opened
from .place import current_place, link_text


@frozen(eq=False)
class Agent:
    """An agent, while it works.

    Attributes:
        did: Its decentralised identifier.
        session_id: The session in which it works; None outside of any.
        trace: Its own causal id: what it hands on to whom it delegates elsewhere.
    """

    did: str
    session_id: str | None
    trace: CausalTraceId


def open_agent(
    writer: EventWriter,
    did: str,
    session_id: str | None,
    ring: int | None,
    name: str | None,
    caller: Extracted | None,
) -> Opened[Agent]:
    """Begin an agent's work; see ``Recorder.agent``."""
    trace, around = writer.next_trace(caller), current_place()
    did = ids.as_text(did)
    session_id = around.session_id if session_id is None else ids.as_text(session_id)
    if session_id is None and caller is not None:
        session_id = caller.baggage.get(baggage.SESSION_ID)
    place = around._replace(session_id=session_id, agent_did=did)
    payload = {"ring": ring, "name": name, "caller_trace": link_text(caller)}
    joined = writer.write(EventType.SESSION_JOINED, place, trace, payload)
    inside = place.within(joined)
    began = time.monotonic()

    def close(error: BaseException | None) -> None:
        finished = {
            "status": "ok" if error is None else "error",
            "duration_seconds": time.monotonic() - began,
        }
        writer.write(AGENT_FINISHED, inside, trace, finished | describe(error))

    return Opened(Agent(did, session_id, trace), writer.enter(inside, trace), writer, close)
