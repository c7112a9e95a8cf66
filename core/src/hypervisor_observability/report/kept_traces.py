"""The traces whose trees are drawn: those in which most went wrong, and the newest ones."""

from collections import OrderedDict
from heapq import nlargest

from attrs import define, field

from ..bus.event_memory import rough_bytes
from ..causality.causal_trace import CausalTraceId
from ..events.event import HypervisorEvent
from ..facts.trouble import is_trouble
from .calls import trace_of

MOST_WORST = 5
"""How many traces are drawn because something went wrong in them."""
MOST_NEWEST = 5
"""How many are drawn because they are the newest, beside those."""
MOST_EVENTS = 400
"""How many events of a trace are kept; then those alone that belong to work that is known."""

_MOST_EVENTS_AT_ALL = 1_000
_MOST_BYTES = 16 * 1024 * 1024
_BYTES_AFTER_EVICTION = 12 * 1024 * 1024
_MOST_FORGOTTEN = 20_000


@define(eq=False)
class KeptTrace:
    """A trace.

    Attributes:
        trace_id: Its id: in its short form, where it has two.
        events: What happened in it, in order.
        trouble: How much of that went wrong.
        left_out: How many more events there were.
        bytes: Memory that the events hold, roughly.
    """

    trace_id: str
    events: list[HypervisorEvent] = field(factory=list)
    trouble: int = 0
    left_out: int = 0
    bytes: int = 0
    _known: set[str] = field(factory=set, init=False)

    def add(self, causal: str, event: HypervisorEvent) -> int:
        """Take an event; give how much memory that takes.

        A trace that is too long for a page is cut by its pieces of work: whatever was seen to
        begin is also seen to end.
        """
        self.trouble += is_trouble(event)
        count = len(self.events)
        if count >= MOST_EVENTS and (causal not in self._known or count >= _MOST_EVENTS_AT_ALL):
            self.left_out += 1
            return 0
        self._known.add(causal)
        self.events.append(event)
        size = rough_bytes(event)
        self.bytes += size
        return size


@define(eq=False)
class KeptTraces:
    """Traces with their events, of which only so many are kept as memory is set aside for."""

    _traces: OrderedDict[str, KeptTrace] = field(factory=OrderedDict, init=False)
    # What was let go does not come back as a trace without a beginning.
    _forgotten: OrderedDict[int, None] = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)

    def take(self, event: HypervisorEvent) -> None:
        """Take an event, if it belongs to a trace."""
        causal, trace_id = event.causal_trace_id, trace_of(event)
        if causal is None or trace_id is None:
            return
        trace = self._traces.get(trace_id)
        if trace is None:
            if hash(trace_id) in self._forgotten or CausalTraceId.or_none(causal) is None:
                return
            trace = self._traces[trace_id] = KeptTrace(trace_id)
        self._bytes += trace.add(causal, event)
        if self._bytes > _MOST_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        worst = {id(one) for one in self.worst()}
        newest = next(reversed(self._traces.values()))
        for trace in [*self._traces.values()]:
            if self._bytes <= _BYTES_AFTER_EVICTION:
                return
            if id(trace) not in worst and trace is not newest:
                del self._traces[trace.trace_id]
                self._bytes -= trace.bytes
                self._forgotten[hash(trace.trace_id)] = None
                if len(self._forgotten) > _MOST_FORGOTTEN:
                    self._forgotten.popitem(last=False)

    def worst(self) -> list[KeptTrace]:
        """Give the traces in which most went wrong, the worst first, of equals the newest."""
        troubled = [one for one in reversed(self._traces.values()) if one.trouble]
        return nlargest(MOST_WORST, troubled, key=lambda one: one.trouble)

    def newest(self) -> list[KeptTrace]:
        """Give the newest of the other traces, the newest first."""
        worst = {id(one) for one in self.worst()}
        others = [one for one in reversed(self._traces.values()) if id(one) not in worst]
        return others[:MOST_NEWEST]
