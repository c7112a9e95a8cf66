"""Sessions, from creation to termination."""

import time
from collections.abc import Mapping

from attrs import field, frozen

from ..causality.current_trace import current_trace
from ..causality.standing import stand
from ..events import ids
from ..events.event_types import EventType
from .attributes import attributes_set, set_attributes
from .event_writer import EventWriter
from .failure import how_it_failed
from .opened import Opened
from .place import current_place


@frozen(eq=False)
class Session:
    """A session, while it is open.

    Attributes:
        session_id: Unique.
    """

    session_id: str
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes


def open_session(
    writer: EventWriter,
    session_id: str | None,
    payload: Mapping[str, object],
    attributes: Mapping[str, object] | None,
) -> Opened[Session]:
    """Begin a session; see ``Recorder.session``."""
    if session_id is None:
        session_id = f"session-{ids.event_id_text(ids.next_number())}"
    session_id = ids.as_text(session_id)
    place, trace = current_place()._replace(session_id=session_id), current_trace()
    if attributes is not None:
        payload = {**payload, "attributes": attributes}
    inside = place.within(writer.write(EventType.SESSION_CREATED, place, trace, payload))
    session = Session(session_id)
    began = time.monotonic()

    def close(error: BaseException | None) -> None:
        ended: dict[str, object] = {"duration_seconds": time.monotonic() - began}
        if error is not None:
            ended.update(how_it_failed(error))
        if session._attributes:
            ended["attributes"] = attributes_set(session)
        writer.write(EventType.SESSION_TERMINATED, inside, trace, ended)

    return Opened(session, stand(trace, inside), writer, close)
