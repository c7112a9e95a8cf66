"""Write events of a place to the bus, and keep every fault of doing so to itself."""

from collections.abc import Mapping

from ..causal_trace import CausalTraceId, IdWidth
from ..event_bus import HypervisorEventBus
from ..event_types import EventType
from ..events import HypervisorEvent
from ..limited_log import LimitedLog
from .place import Place


class EventWriter:
    """Records on a bus without ever raising: the work that is recorded goes on.

    Args:
        bus: Where the events go.
        id_width: How wide the ids of new traces are.
    """

    def __init__(self, bus: HypervisorEventBus, id_width: IdWidth = "short") -> None:
        self._bus = bus
        self.id_width = id_width
        self._limited_log = LimitedLog(__name__)

    def write(
        self,
        event_type: EventType,
        place: Place,
        trace: CausalTraceId | None,
        payload: Mapping[str, object],
    ) -> HypervisorEvent | None:
        """Record an event of *place* under *trace*, without the payload's values that are None.

        Returns:
            The event; None if it could not be recorded, which is logged at a limited rate.
        """
        causal_id = None if trace is None else trace.full_id
        known = {key: value for key, value in payload.items() if value is not None}
        return self.write_known(event_type, place, causal_id, known)

    def write_known(
        self,
        event_type: EventType,
        place: Place,
        causal_id: str | None,
        payload: Mapping[str, object],
    ) -> HypervisorEvent | None:
        """Do as ``write``, given the id as text and a payload without None."""
        try:
            return self._bus.record(
                event_type,
                session_id=place.session_id,
                agent_did=place.agent_did,
                causal_trace_id=causal_id,
                parent_event_id=place.opened_by,
                payload=payload,
            )
        except Exception as error:  # noqa: BLE001 - no fault of recording reaches the work
            self._limited_log.warning(
                "record", "an event of type %s was not recorded", event_type, error=error
            )
            return None

    def undo_failed(self, action: str, error: Exception) -> None:
        """Log that an undo raised, since nobody else gets to see its exception."""
        self._limited_log.warning("undo", "the undo of %s raised", action, error=error)
