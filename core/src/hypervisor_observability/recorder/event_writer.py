"""Write events of a place to the bus, and keep every fault of doing so to itself."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ..bus.event_bus import HypervisorEventBus
from ..causality.causal_trace import CausalTraceId
from ..causality.choices import IdWidth
from ..causality.current_trace import current_trace
from ..causality.propagation import Extracted, new_root
from ..causality.standing import Standing, stand, standing
from ..events.event import HypervisorEvent, at_nanoseconds
from ..events.event_types import EventType
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from ..values.scalars import plain_scalar
from .opentelemetry_spans import OpenTelemetrySpans
from .place import NOWHERE, Place

T = TypeVar("T")

_YEAR_10000_NS = 253_402_300_800 * 1_000_000_000


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
        self.scope: Callable[[Callable[[], Any]], Any]  # makes scopes; its recorder says which
        self.identity = object()  # may be kept where the writer itself would be kept alive

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

    def make(
        self,
        event_type: EventType,
        place: Place,
        trace: CausalTraceId | None,
        payload: Mapping[str, object],
        timestamp_ns: int | None,
    ) -> HypervisorEvent:
        """Make an event as ``write`` does, for ``emit``; a time that is none is now.

        Raises:
            Exception: It could not be made.
        """
        event = HypervisorEvent(
            event_type=event_type,
            session_id=place.session_id,
            agent_did=place.agent_did,
            causal_trace_id=None if trace is None else trace.full_id,
            parent_event_id=place.opened_by,
            payload={key: value for key, value in payload.items() if value is not None},
        )
        checked = self.checked_ns(timestamp_ns)
        return event if checked is None else at_nanoseconds(event, checked)

    def checked_ns(self, timestamp_ns: object) -> int | None:
        """Give a time in nanoseconds since the epoch; None: it is none."""
        told = plain_scalar(timestamp_ns)
        return told if type(told) is int and 0 <= told < _YEAR_10000_NS else None

    def emit(self, event: HypervisorEvent) -> None:
        """Emit an event that ``make`` gave."""
        self._bus.emit(event)

    def new_root(self) -> CausalTraceId:
        """Start a trace, whatever the current one is."""
        return new_root(self._id_width)

    def trace_here(self) -> CausalTraceId | None:
        """Give the innermost trace that the running code is in, of ours and of others."""
        around = current_trace()
        if self._outer_spans is None:
            return around
        return self._asked(self._outer_spans.parent, around, otherwise=around)

    def next_trace(self, caller: Extracted | None = None) -> CausalTraceId:
        """Draw the causal id of work that begins here: below the current one, if there is one.

        Args:
            caller: What came with the message that asked for the work: its id is taken, or
                one beside it where another piece of work has that already.
        """
        if caller is not None:
            return caller.next_trace()
        around = self.trace_here()
        return new_root(self._id_width) if around is None else around.child()

    def enter(self, place: Place, trace: CausalTraceId | None) -> Standing:
        """Make *place* the current one, and *trace* the current trace, until ``leave``."""
        inside = stand(trace, place)
        if self._outer_spans is not None and trace is not None:
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

    def keyed_failed(self, error: Exception) -> None:
        """Log that a call about work under a key was not recorded, or not as it was told.

        Raises:
            Exception: *error*, if a signal handler raised it.
        """
        if is_from_handler(error):
            raise error
        self._limited_log.warning("keyed", "work under a key was not recorded so", error=error)

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
