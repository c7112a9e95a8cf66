"""Tail sampling: traces in which something went wrong are kept whole, of the rest a part.

A trace of that part is handed over at once. The spans of any other wait for an incident; the
trace is left out when it has been quiet for a while and nothing of it is open. What comes later
obeys the decision.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field

from ..events.event import HypervisorEvent
from .assembly import SpanAssembler
from .held_traces import Ending, HeldSpan, HeldTraces
from .sampling import Sampling, is_incident, is_sampled, tells_of_incident

MAX_DECISIONS = 100_000
"""Traces of which it is remembered whether they are kept, where their ids do not tell."""
MAX_SAVED_DECISIONS = 5_000
"""Decisions that are saved along with a position."""


@define(eq=False)
class SpanSampler:
    """Choose from the spans that an assembler gives.

    Attributes:
        sampling: Which traces are kept.
        assembler: Makes the spans.
        now: Gives a time that never goes back, in seconds.
        left_out_spans: Spans of traces that were left out.
        early_decisions: Traces left out before their time, since too many spans were held.
        late_incidents: Incidents in traces that had been left out already.
        left_out: Events all of whose spans were left out; whoever keeps the accounts empties it.
    """

    sampling: Sampling
    assembler: SpanAssembler
    now: Callable[[], float] = time.monotonic
    left_out_spans: int = 0
    early_decisions: int = 0
    late_incidents: int = 0
    left_out: list[Ending] = field(factory=list)
    _held: HeldTraces = field(factory=HeldTraces, init=False)
    # Whether a trace is kept, the oldest decision first.
    _decisions: OrderedDict[str, bool] = field(factory=OrderedDict, init=False)

    @property
    def held_spans(self) -> int:
        """How many spans wait for the decision on their trace."""
        return self._held.spans

    def feed(self, event: HypervisorEvent) -> tuple[Ending | None, list[HeldSpan]]:
        """Take one event; give it for the accounts if it ended spans, and the spans to hand over,
        among which may be those of earlier events.
        """
        keep: set[str] = set()
        tail = self.sampling.keep_incidents
        if tail and is_incident(event):
            keep |= self.assembler.traces_of(event)
        spans = self.assembler.feed(event)
        if tail:
            keep.update(span.trace_id for span in spans if tells_of_incident(span))
        chosen = [held for trace_id in keep for held in self._keep(trace_id)]
        if not spans:
            return None, chosen
        ending = Ending(event, len(spans))
        for span in spans:
            held = HeldSpan(span, ending)
            decision = self._decision(span.trace_id)
            if decision is None:
                self._held.add(held, self.now())
            elif decision:
                chosen.append(held)
            else:
                self._leave_out([held])
        while self._held.spans > self.sampling.max_held_spans:
            self.early_decisions += 1
            self._decide_against(self._held.first_to_go(self.assembler.goes_on))
        return ending, chosen

    def leave_out_the_quiet(self) -> None:
        """Leave out the traces that have waited for long enough."""
        now = self.now()
        before = now - self.sampling.wait_seconds
        for trace_id in self._held.quiet(before, now, self.assembler.goes_on):
            self._decide_against(trace_id)

    def leave_out_all(self) -> None:
        """Leave out all that waits: nothing more will come."""
        for trace_id in {held.span.trace_id for held in self._held}:
            self._decide_against(trace_id)

    def settle_waiting(self) -> int:
        """Give how many events wait for a decision; they are settled elsewhere from now on."""
        waiting = {held.ending for held in self._held if held.ending is not None}
        waiting = {ending for ending in waiting if not ending.settled}
        for ending in waiting:
            ending.settled = True
        return len(waiting)

    def _keep(self, trace_id: str) -> list[HeldSpan]:
        """Decide for a trace; give those of its spans that wait."""
        decision = self._decision(trace_id)
        if decision is not None:
            self.late_incidents += not decision
            return []
        self._decide(trace_id, keep=True)
        return self._held.take(trace_id)

    def _decision(self, trace_id: str) -> bool | None:
        if is_sampled(trace_id, self.sampling.ratio):
            return True
        return self._decisions.get(trace_id) if self.sampling.keep_incidents else False

    def _decide(self, trace_id: str, *, keep: bool) -> None:
        self._decisions[trace_id] = keep
        if len(self._decisions) > MAX_DECISIONS:
            self._decisions.popitem(last=False)

    def _decide_against(self, trace_id: str) -> None:
        self._decide(trace_id, keep=False)
        self._leave_out(self._held.take(trace_id))

    def _leave_out(self, spans: Iterable[HeldSpan]) -> None:
        for held in spans:
            self.left_out_spans += 1
            ending = held.ending
            if ending is None:
                continue
            ending.undecided -= 1
            if ending.undecided == 0 and not ending.settled:
                ending.settled = ending.left_out = True
                self.left_out.append(ending)

    def state(self) -> dict[str, Any]:
        """Give what waits, and the newest decisions, as plain JSON."""
        return {
            "held": self._held.state(),
            "decisions": list(self._decisions.items())[-MAX_SAVED_DECISIONS:],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the sampler whose ``state()`` was *state* has ended.

        Raises:
            ValueError: It is damaged.
        """
        try:
            self._held.restore(state["held"], self.now())
            self._decisions.update((trace_id, keep) for trace_id, keep in state["decisions"])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"the saved sampling is damaged: {type(error).__name__}: {error}"
            raise ValueError(msg) from error
