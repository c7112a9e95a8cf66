"""Who handed work over to whom: the span of the agent that takes it links to that of the other."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .identity import causal_id
from .open_span import OpenSpan
from .open_spans import OpenSpans

LINK_TYPE = "handoff"

MAX_AGENTS = 2_000
"""Most agents that are remembered in a place, and most that are waited for."""
MAX_HANDOFFS = 16
"""Most handoffs to one agent that wait for it to begin: the latest."""

Place = tuple[str, str]
"""A trace or a session, and which."""
_Ids = tuple[str, str]


@define(eq=False)
class Handoffs:
    """Link the spans of agents by handoffs.

    A handoff holds for an agent of its trace, else of its session: elsewhere the same agent does
    something else.
    """

    # The latest span of each agent in each place: it may have ended when it is told of.
    _latest: OrderedDict[tuple[Place, str], _Ids] = field(factory=OrderedDict, init=False)
    # By the agent that is waited for: where, and who handed over.
    _waiting: OrderedDict[str, list[tuple[list[Place], _Ids]]] = field(
        factory=OrderedDict, init=False
    )

    def begin(self, span: OpenSpan) -> None:
        """Have an agent's new *span* link to those of who handed over to it."""
        did = span.agent_did
        if did is None:
            return
        places = list(_places(span.identity.trace_id, span.session_id))
        left = []
        for where, old in self._waiting.pop(did, ()):
            if any(place in where for place in places):
                span.add_link(*old, LINK_TYPE)
            else:
                left.append((where, old))
        if left:
            self._waiting[did] = left
        for place in places:
            _remember(self._latest, (place, did), (span.identity.trace_id, span.identity.span_id))

    def hand_over(self, event: HypervisorEvent, around: OpenSpan | None, spans: OpenSpans) -> None:
        """Take a handoff.

        Args:
            event: It.
            around: The span in which it happened.
            spans: The open ones: who takes over may work already.
        """
        giver, taker = payload_facts.handoff(event)
        causal = causal_id(event)
        trace_id = None if causal is None else causal.to_w3c()[0]
        places = list(_places(trace_id, event.session_id))
        old = self._old_span(giver, places, around)
        if old is None or not taker:
            return
        working = [
            span
            for span in spans.of_agent_in("agent", taker, None)
            if span.identity.trace_id == trace_id and span.identity.span_id != old[1]
        ]
        if working:
            working[-1].add_link(*old, LINK_TYPE)
            return
        waiting = self._waiting.get(taker, [])
        _remember(self._waiting, taker, [*waiting, (places, old)][-MAX_HANDOFFS:])

    def _old_span(self, giver: str, places: list[Place], around: OpenSpan | None) -> _Ids | None:
        if around is not None and around.key[0] == "agent" and around.agent_did == giver:
            return around.identity.trace_id, around.identity.span_id
        found = (self._latest.get((place, giver)) for place in places)
        return next((one for one in found if one is not None), None)

    def state(self) -> dict[str, Any]:
        """Give all of it as plain JSON."""
        return {
            "latest": [[*place, did, *ids] for (place, did), ids in self._latest.items()],
            "waiting": [
                [did, [[[list(place) for place in where], list(old)] for where, old in handoffs]]
                for did, handoffs in self._waiting.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what ``state()`` gave."""
        for kind, which, did, trace_id, span_id in state["latest"]:
            self._latest[(kind, which), did] = (trace_id, span_id)
        for did, handoffs in state["waiting"]:
            self._waiting[did] = [
                ([(kind, which) for kind, which in where], (trace_id, span_id))
                for where, (trace_id, span_id) in handoffs
            ]


def _places(trace_id: str | None, session_id: str | None) -> Iterator[Place]:
    if trace_id is not None:
        yield "trace", trace_id
    if session_id is not None:
        yield "session", session_id


def _remember(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > MAX_AGENTS:
        known.popitem(last=False)
