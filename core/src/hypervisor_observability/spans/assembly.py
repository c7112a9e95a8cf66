"""Turn events into finished spans.

One assembler serves one reader and is not shared between threads. It keeps open work only,
and at most ``MAX_OPEN`` of each kind: what is older is given out as it stands, marked with
``agent.hypervisor.expired``. What it keeps can be saved along with a reader's position, so
that another process goes on where one has ended.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..events.event import HypervisorEvent
from ..events.event_types import AGENT_HANDOFF, EventType
from ..facts.prices import Prices
from .agent_assembly import AgentAssembly
from .call_assembly import CallAssembly
from .handoffs import Handoffs
from .identity import SpanIdentities, causal_ids
from .point_events import POINT_EVENTS, attach, span_around
from .record import FinishedSpan
from .saga_assembly import SagaAssembly
from .work import Work

_STATE_VERSION = 3


class SpanAssembler:
    """Assemble the spans of events given in their order.

    Args:
        pending: Whether to give out what tells that a session has begun: a span with
            ``pending`` set that comes again, under the same ids, when the session has ended.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """

    def __init__(self, *, pending: bool = False, prices: Prices | None = None) -> None:
        self._prices = prices
        self._work = Work()
        self._identities = SpanIdentities()
        self._sagas = SagaAssembly(self._work, self._identities)
        self._handoffs = Handoffs()
        agents = AgentAssembly(self._work, self._identities, self._handoffs, pending)
        self._handlers: dict[str, Callable[[HypervisorEvent], list[FinishedSpan]]] = {
            **agents.handlers,
            **CallAssembly(agents).handlers,
            **self._sagas.handlers,
        }

    @property
    def open_spans(self) -> int:
        """How many spans have begun and not ended."""
        return len(self._work.open)

    @property
    def expired(self) -> int:
        """Spans given out unfinished, marked with ``agent.hypervisor.expired``."""
        return self._work.expired

    @property
    def unmatched(self) -> int:
        """Ends without a start, and starts and ends that came when all was over."""
        return self._work.unmatched

    def feed(self, event: HypervisorEvent) -> list[FinishedSpan]:
        """Take one event; give the spans that it ended."""
        event_type = event.event_type
        if event_type in POINT_EVENTS:
            attach(event, self._work.open, self._prices)
            if event_type == EventType.SAGA_HANDOFF:
                self._sagas.hand_over(event)
            elif event_type == AGENT_HANDOFF:
                spans = self._work.open
                self._handoffs.hand_over(event, span_around(event, spans), spans)
        handler = self._handlers.get(event_type)
        if handler is None:
            return []
        finished, work = handler(event), self._work
        if work.given_up:
            finished += work.given_up
            work.given_up = []
        return finished

    def traces_of(self, event: HypervisorEvent) -> set[str]:
        """Give the traces that *event* belongs to: that of its causal id, and that of the open
        span in which it happens.
        """
        causal, around = causal_ids(event), span_around(event, self._work.open)
        traces = set() if causal is None else {causal.trace_id}
        if around is not None:
            traces.add(around.identity.trace_id)
        return traces

    def goes_on(self, trace_id: str) -> bool:
        """Whether something of a trace is open."""
        return self._work.open.newest_in_trace(trace_id) is not None

    def state(self) -> dict[str, Any]:
        """Give what is open as plain JSON, to be saved along with the reader's position."""
        return {
            "version": _STATE_VERSION,
            "ids": self._identities.state(),
            **self._work.state(),
            **self._sagas.state(),
            "handoffs": self._handoffs.state(),
        }

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], *, pending: bool = False, prices: Prices | None = None
    ) -> "SpanAssembler":
        """Go on where the assembler whose ``state()`` was *state* has ended.

        Args:
            state: What was saved, also after a way through JSON.
            pending: As at construction.
            prices: Likewise.

        Raises:
            ValueError: It is damaged, or of another version.
        """
        if state.get("version") != _STATE_VERSION:
            msg = f"expected saved spans of version {_STATE_VERSION}, got {state.get('version')!r}"
            raise ValueError(msg)
        assembler = cls(pending=pending, prices=prices)
        try:
            assembler._identities.restore(state["ids"])
            assembler._work.restore(state)
            assembler._sagas.restore(state)
            if "handoffs" in state:  # earlier versions knew none
                assembler._handoffs.restore(state["handoffs"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            msg = f"the saved spans are damaged: {type(error).__name__}: {error}"
            raise ValueError(msg) from error
        return assembler
