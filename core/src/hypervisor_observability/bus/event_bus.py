"""The event bus: append an event once, tell who listens, answer questions."""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..events.timestamps import nanoseconds
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from ..values.default_bounds import DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS, asked_bounds
from . import queries
from .adoption import Adoption
from .clock_steps import ClockSteps
from .log import STAGED_EVENTS, EventLog
from .recording import Recording
from .subscribers import EventHandler, Handlers, Subscribers, Subscription

if TYPE_CHECKING:
    from ..causality.trace_tree import TraceTree

_new_event = HypervisorEvent.__new__


class HypervisorEventBus:
    """An append-only log of events with subscribers and indexed queries.

    Args:
        max_events: How many of the newest events are kept and shown; None for no bound.
        max_bytes: Memory for kept events, in bytes, measured on a sample of them; what it drops
            is counted; None for no bound.

    Both defaults together bound the log. A bound that is given alone holds alone.

    Raises:
        ValueError: A bound below 1.
    """

    def __init__(
        self,
        max_events: int | None = DEFAULT_MAX_EVENTS,
        *,
        max_bytes: int | None = DEFAULT_MAX_BYTES,
    ) -> None:
        max_events, max_bytes = asked_bounds(max_events, max_bytes)
        self._log = EventLog(max_events, max_bytes)
        self._stage: EventHandler = self._log.stage
        self._staged = self._log.staged
        self._drain_at = STAGED_EVENTS
        # For each type those to call, its own before the wildcard ones; None: nobody at all.
        self._handlers: Mapping[str, Handlers] | None = None
        self._wildcard_handlers: Handlers = ()
        limited_log = LimitedLog(__name__)
        self._adoption = Adoption(limited_log)
        self._subscribers = Subscribers(self._log.alone, self._call_these, limited_log)
        self._recording = Recording(self._log, limited_log)
        self._clock_steps = ClockSteps(limited_log)
        self._log.on_drain(self._clock_steps.follow)

    # Emitting

    def emit(self, event: HypervisorEvent) -> None:
        """Append *event* and call its subscribers, in this thread.

        Never raises and never waits. A subscriber that raises is logged and counted. An
        event of another package with the same eight fields is taken over as ours; anything
        else is counted in ``refused``.
        """
        if type(event) is not HypervisorEvent:
            adopted = self._adoption.adopt(event)  # type: ignore[unreachable]  # for who has no type checker
            if adopted is None:
                return
            event = adopted
        self._stage(event)
        if len(self._staged) >= self._drain_at:
            self._drain_at = self._log.drain_if_full()
        handlers = self._handlers
        if handlers is not None:
            for handler in handlers.get(event.event_type, self._wildcard_handlers):
                try:
                    handler(event)
                except Exception as error:  # a subscriber's fault stays its own
                    if is_from_handler(error):
                        raise
                    self._subscribers.failed(handler, error)

    def record(
        self,
        event_type: EventType,
        *,
        session_id: str | None = None,
        agent_did: str | None = None,
        causal_trace_id: str | None = None,
        parent_event_id: str | None = None,
        payload: Mapping[str, Any] | None = None,
        timestamp: datetime | float | None = None,
        event_id: str | None = None,
    ) -> HypervisorEvent:
        """Build an event, emit it and return it: the fast way.

        Raises:
            ValueError: The timestamp is bad; see ``HypervisorEvent``.
        """
        event = _new_event(
            HypervisorEvent,
            event_id,
            event_type,
            timestamp,
            session_id,
            agent_did,
            causal_trace_id,
            parent_event_id,
            payload,
        )
        if self._handlers is not None:
            self.emit(event)
            return event
        # As in emit, which would cost one more call.
        self._stage(event)
        if len(self._staged) >= self._drain_at:
            self._drain_at = self._log.drain_if_full()
        return event

    def subscribe(
        self,
        event_type: EventType | str | None = None,
        handler: EventHandler | None = None,
    ) -> Subscription:
        """Call *handler* with each event of a type (None: of all types), when it is emitted.

        Handlers of the type are called before those of all types, each group in the order
        of its subscriptions. Without a handler nothing is subscribed.
        """
        return self._subscribers.add(event_type, handler)

    # Asking

    @property
    def log(self) -> EventLog:
        """The log behind the bus, for readers with a position."""
        return self._log

    @property
    def emitted(self) -> int:
        """How many events were emitted, whether they are still kept or not."""
        return self._log.end

    @property
    def event_count(self) -> int:
        """How many events are kept."""
        first, end = self._log.bounds
        return end - first

    @property
    def all_events(self) -> list[HypervisorEvent]:
        """All kept events, oldest first, as a new list."""
        return queries.select(self._log)

    @property
    def record_errors(self) -> int:
        """For how many events the store raised. It may not have them."""
        return self._recording.errors

    @property
    def handler_errors(self) -> int:
        """How many calls of a subscriber raised."""
        return self._subscribers.errors

    @property
    def refused(self) -> int:
        """How many objects that are not events were given to ``emit``."""
        return self._adoption.refused

    @property
    def clock_steps(self) -> int:
        """How many times the wall clock was found to have been stepped."""
        return self._clock_steps.count

    def type_counts(self) -> dict[str, int]:
        """Count the kept events by the value of their type."""
        return {str.__str__(name): count for name, count in queries.type_counts(self._log).items()}

    def query_by_type(self, event_type: EventType | str) -> list[HypervisorEvent]:
        """Give all kept events of a type, oldest first."""
        return queries.select(self._log, event_type=event_type)

    def query_by_session(self, session_id: str | None) -> list[HypervisorEvent]:
        """Give all kept events of a session, oldest first; of None there are none."""
        return [] if session_id is None else queries.select(self._log, session_id=session_id)

    def query_by_agent(self, agent_did: str | None) -> list[HypervisorEvent]:
        """Give all kept events of an agent, oldest first; of None there are none."""
        return [] if agent_did is None else queries.select(self._log, agent_did=agent_did)

    def query_by_time_range(
        self, start: datetime | float, end: datetime | float | None = None
    ) -> list[HypervisorEvent]:
        """Give the kept events from *start* to *end*, both included; None: no end.

        Raises:
            ValueError: A bound is naive, not finite or no time.
        """
        return queries.select_by_time(
            self._log, nanoseconds(start), None if end is None else nanoseconds(end)
        )

    def query(
        self,
        event_type: EventType | str | None = None,
        session_id: str | None = None,
        agent_did: str | None = None,
        limit: int | None = None,
    ) -> list[HypervisorEvent]:
        """Give the newest *limit* events that match every filter given, oldest first."""
        return queries.select(
            self._log,
            event_type=event_type,
            session_id=session_id,
            agent_did=agent_did,
            limit=limit,
        )

    def tree(self, trace_id: str) -> "TraceTree":
        """Give the causal tree of a trace, from the kept events: who caused what.

        Args:
            trace_id: The first part of the causal ids, ``CausalTraceId.trace_id``.
        """
        # Most processes never ask; the tree need not be imported with the bus.
        from ..causality.trace_tree import build_tree

        return build_tree(self.all_events, trace_id)

    def sync(self) -> bool:
        """Make sure that the disk holds everything emitted before this call.

        Returns:
            True if it does, against power loss too. False if it does not, or there is no
            store.
        """
        return self._recording.sync()

    def record_through(
        self,
        record: Callable[[HypervisorEvent, EventHandler], object],
        sync: Callable[[], object],
    ) -> None:
        """From now on, record each event before it is appended.

        Args:
            record: Records the event and then calls what it is given with it, so that both
                orders are one. What it raises is told and counted, and the event is appended.
            sync: Has the disk hold what was recorded; raises OSError if it does not.
        """
        self._stage = self._recording.through(record)
        self._recording.sync_with(sync)

    def record_nowhere(self) -> None:
        """Append events, and stop recording them."""
        self._stage = self._recording.nowhere()

    def keep_apart(self, threads: Container[int], take: EventHandler) -> None:
        """From now on, hand what certain threads emit to *take* instead of appending it.

        So that what a plugin's own thread emits is not delivered to that plugin again.

        Args:
            threads: Their identifiers (``threading.get_ident``); asked at each event.
            take: Takes such an event. Subscribers are called all the same.
        """
        self._stage = self._recording.apart(threads, take)

    def on_clock_step(self, listener: Callable[[float], object]) -> None:
        """Call *listener* with the seconds of each step of the wall clock, in another thread."""
        self._clock_steps.tell(listener)

    def clear(self) -> None:
        """Drop all kept events. Counts and sequence numbers go on."""
        self._log.clear()

    _clear = clear

    # Inside

    def _call_these(self, handlers: Mapping[str, Handlers] | None, wildcards: Handlers) -> None:
        self._wildcard_handlers = wildcards
        self._handlers = handlers
