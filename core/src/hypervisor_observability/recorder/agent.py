"""Agents at work, from joining to the end of their work."""

from collections.abc import Mapping

from attrs import field, frozen

from ..causality import baggage
from ..causality.causal_trace import CausalTraceId
from ..causality.propagation import Extracted
from ..events import ids
from ..events.event_types import EventType
from .attributes import set_attributes
from .event_writer import EventWriter
from .kinds import KINDS
from .opened import Opened
from .place import current_place, link_text
from .work import open_work


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
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes


def open_agent(
    writer: EventWriter,
    did: str,
    session_id: str | None,
    ring: int | None,
    name: str | None,
    caller: Extracted | None,
    attributes: Mapping[str, object] | None,
) -> Opened[Agent]:
    """Begin an agent's work; see ``Recorder.agent``."""
    trace, around = writer.next_trace(caller), current_place()
    did = ids.as_text(did)
    session_id = around.session_id if session_id is None else ids.as_text(session_id)
    if session_id is None and caller is not None:
        session_id = caller.baggage.get(baggage.SESSION_ID)
    place = around._replace(session_id=session_id, agent_did=did)
    payload = {
        "ring": ring,
        "name": name,
        "caller_trace": link_text(caller),
        "attributes": attributes,
    }
    agent = Agent(did, session_id, trace)
    opened = open_work(writer, KINDS["agent"], place, trace, payload, agent)
    if ring is not None:
        writer.write_here(EventType.RING_ASSIGNED, {"ring": ring})
    return opened
