"""The traces: which runs, which failed, and what each took and cost."""

import heapq
from typing import Any

from attrs import define, field

from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.stores import Entry, trace_key
from hypervisor_observability.tree.summaries import Summaries
from hypervisor_observability.tree.summary import TraceSummary
from hypervisor_web.boards.plain import has_words, microseconds, usage_told

MOST_TRACES = 2_000
"""Most traces that are kept: those that run, then those that had an event last."""
MOST_ROWS = 1_000
_MOST_NAMES = 20

STATES = ("all", "running", "failed")


@define(eq=False)
class TracesBoard:
    """The traces.

    Attributes:
        prices: To estimate costs that were not told; None: they are not estimated.
        left_out: How many had to go for newer ones.
        version: Grows with each event that changes anything.
    """

    prices: Prices | None = None
    left_out: int = 0
    version: int = 0
    _summaries: Summaries = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._summaries = Summaries(self._leave_out, self.prices, most=MOST_TRACES)

    def take(self, entry: Entry, position: int) -> None:  # noqa: ARG002 - as all boards
        """Look at an event."""
        if self._summaries.take(entry.event) is not None:
            self.version += 1

    def told(self, state: str, words: list[str], count: int) -> dict[str, Any]:
        """Tell of the newest of them in plain data.

        Args:
            state: Which: one of ``STATES``.
            words: Only those in which all of these are found, in small letters.
            count: Most that are told.
        """
        found = [
            one
            for one in self._summaries
            if _stands(one, state) and (not words or has_words(words, *_texts(one)))
        ]
        newest = heapq.nlargest(count, found, key=lambda one: one.begun_ns)
        every = list(self._summaries)
        return {
            "traces": [_told(one) for one in newest],
            "found": len(found),
            "running": sum(one.running for one in every),
            "failed": sum(one.failed for one in every),
            "all": len(every),
            "left_out": self.left_out,
        }

    def _leave_out(self, _: TraceSummary) -> None:
        self.left_out += 1


def _stands(trace: TraceSummary, state: str) -> bool:
    if state == "running":
        return trace.running
    return trace.failed if state == "failed" else True


def _texts(trace: TraceSummary) -> list[str]:
    return [trace.trace_id, trace.root, trace.outcome, trace.reason, *trace.agent_names]


def _told(trace: TraceSummary) -> dict[str, Any]:
    agents = [[did, name] for did, name in trace.agents.items()]
    return {
        "id": trace_key(trace.trace_id),
        "short": trace.trace_id,
        "kind": trace.root_kind,
        "title": trace.root_title,
        "outcome": trace.outcome,
        "running": trace.running,
        "reason": trace.reason,
        "begun": microseconds(trace.begun_ns),
        "seen": microseconds(trace.ended_ns),
        "agents": agents[:_MOST_NAMES],
        "more_agents": max(0, len(agents) - _MOST_NAMES),
        "breaches": trace.breaches,
        "refusals": trace.refusals,
        "events": trace.events,
        **usage_told(trace.usage),
    }
