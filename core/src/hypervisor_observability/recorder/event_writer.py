"""Write events of a place to the bus, and keep every fault of doing so to itself."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from ..bus.event_bus import HypervisorEventBus
from ..causality.causal_trace import CausalTraceId
from ..causality.choices import IdWidth
from ..causality.current_trace import current_trace
from ..causality.propagation import Extracted, new_root
from ..causality.standing import Standing, stand, standing
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from .opentelemetry_spans import OpenTelemetrySpans
from .place import NOWHERE, Place

T = TypeVar("T")


class EventWriter:
    """Records on a bus without ever raising: the work that is recorded goes on.

    Args:
        bus: Where the events go.
        id_width: How wide the ids of new traces are.
        outer_spans: Spans of others among which ours stand; None: there are none.
    """

    def __init__(
        self,
        bus: HypervisorEventBus,
        id_width: IdWidth = "short",
        outer_spans: OpenTelemetrySpans | None = None,
    ) -> None:
        self._bus = bus
        self._id_width: IdWidth = id_width
        self._outer_spans = outer_spans
        self._limited_log = LimitedLog(__name__)

    def write_here(
        self, event_type: EventType, payload: Mapping[str, object]
    ) -> HypervisorEvent | None:
        """Record an event in the place of the running code, and under its trace."""
        here = standing()
        place = NOWHERE if here.place is None else here.place
        return self.write(event_type, place, here.trace, payload)

    def write_call(
        self, event_type: EventType, arguments: dict[str, object]
    ) -> HypervisorEvent | None:
        """Record an event whose payload is a method's ``locals()``; see ``topics.topic``."""
        del arguments["self"]
        return self.write_here(event_type, arguments)

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
        except Exception as error:  # no fault of recording reaches the work
            if is_from_handler(error):
                raise
            self._limited_log.warning(
                "record", "an event of type %s was not recorded", event_type, error=error
            )
            return None

    def next_trace(self, caller: Extracted | None = None) -> CausalTraceId:
        """Draw the causal id of work that begins here: below the current one, if there is one.

        Args:
            caller: What came with the message that asked for the work: its id is taken, or
                one beside it where another piece of work has that already.
        """
        if caller is not None:
            return caller.next_trace()
        around = current_trace()
        if self._outer_spans is not None:
            around = self._asked(self._outer_spans.parent, around, otherwise=around)
        return new_root(self._id_width) if around is None else around.child()

    def enter(self, place: Place, trace: CausalTraceId) -> Standing:
        """Make *place* the current one, and *trace* the current trace, until ``leave``."""
        inside = stand(trace, place)
        if self._outer_spans is not None:
            leave_span = self._asked(self._outer_spans.activate, trace, otherwise=None)
            if leave_span is not None:
                inside.on_leave = partial(self._asked, leave_span, otherwise=None)
        return inside

    def _asked(self, ask: Callable[..., T], *args: object, otherwise: T) -> T:
        """Give what the spans of others answer; *otherwise* where they fail, which is logged."""
        try:
            return ask(*args)
        except Exception as error:  # no fault of others' spans reaches the work
            if is_from_handler(error):
                raise
            self._limited_log.warning(
                "spans", "the active span of OpenTelemetry is out of reach", error=error
            )
            return otherwise

    def end_failed(self, error: Exception) -> None:
        """Log that the end of a scope could not be recorded.

        Raises:
            Exception: *error*, if a signal handler raised it.
        """
        if is_from_handler(error):
            raise error
        self._limited_log.warning("end", "the end of a scope was not recorded", error=error)

    def undo_failed(self, action: str, error: BaseException) -> None:
        """Log that an undo raised, since nobody else gets to see its exception."""
        self._limited_log.warning("undo", "the undo of %s raised", action, error=error)

    def committed_late(self, saga_id: str, step_id: str) -> None:
        """Log that a step was committed whose saga had ended otherwise, and nobody undoes it."""
        self._limited_log.warning(
            "late", "step %s was committed after saga %s had ended", step_id, saga_id
        )


def unless_empty(value: object) -> object:
    """Give *value*; None for the empty string, which says nothing. Never raises."""
    return value if type(value) is not str or value else None
