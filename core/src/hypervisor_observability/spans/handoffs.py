"""Who handed work over to whom: the span of the agent that takes it links to that of the other."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .identity import causal_ids
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


@frozen
class _Worked:
    did: str
    ids: _Ids


@define(eq=False)
class Handoffs:
    """Link the spans of agents by handoffs.

    A handoff holds for an agent of its trace, else of its session: elsewhere the same agent does
    something else. It calls an agent by its DID, or by the name under which it works there; what
    is the DID of an agent there is nobody else's name.
    """

    # The latest span of each agent in each place, by its DID and by its name: it may have ended
    # when it is told of.
    _latest: OrderedDict[tuple[Place, str], _Worked] = field(factory=OrderedDict, init=False)
    # By what the agent that is waited for is called: where, and who handed over.
    _waiting: OrderedDict[str, list[tuple[list[Place], _Ids]]] = field(
        factory=OrderedDict, init=False
    )

    def begin(self, span: OpenSpan, name: str) -> None:
        """Have an agent's new *span* link to those of who handed over to it.

        Args:
            span: What it does now.
            name: The agent's name; empty where that was not told.
        """
        did = span.agent_did
        if did is None:
            return
        worked = _Worked(did, (span.identity.trace_id, span.identity.span_id))
        places = list(_places(span.identity.trace_id, span.session_id))
        for called in dict.fromkeys((did, name or did)):
            free = [place for place in places if self._means(did, called, place)]
            self._link_to_givers(span, called, free)
            for place in free:
                _remember(self._latest, (place, called), worked)

    def _means(self, did: str, called: str, place: Place) -> bool:
        """Tell whether an agent may be called so there."""
        known = self._latest.get((place, called))
        return called == did or known is None or known.did != called

    def _link_to_givers(self, span: OpenSpan, called: str, places: list[Place]) -> None:
        left = []
        for where, old in self._waiting.pop(called, ()):
            if any(place in where for place in places):
                span.add_link(*old, LINK_TYPE)
            else:
                left.append((where, old))
        if left:
            self._waiting[called] = left

    def hand_over(self, event: HypervisorEvent, around: OpenSpan | None, spans: OpenSpans) -> None:
        """Take a handoff.

        Args:
            event: It.
            around: The span in which it happened.
            spans: The open ones: who takes over may work already.
        """
        giver, taker = payload_facts.handoff(event)
        causal = causal_ids(event)
        trace_id = None if causal is None else causal.trace_id
        places = list(_places(trace_id, event.session_id))
        old = self._old_span(giver, places, around)
        if old is None or not taker:
            return
        known = self._worked(taker, places)
        working = [
            span
            for span in spans.of_agent_in("agent", taker if known is None else known.did, None)
            if span.identity.trace_id == trace_id and span.identity.span_id != old[1]
        ]
        if working:
            working[-1].add_link(*old, LINK_TYPE)
            return
        waiting = self._waiting.get(taker, [])
        _remember(self._waiting, taker, [*waiting, (places, old)][-MAX_HANDOFFS:])

    def _old_span(self, giver: str, places: list[Place], around: OpenSpan | None) -> _Ids | None:
        known = self._worked(giver, places)
        if around is not None and around.key[0] == "agent":
            ids = around.identity.trace_id, around.identity.span_id
            if around.agent_did == (giver if known is None else known.did):
                return ids
        return None if known is None else known.ids

    def _worked(self, called: str, places: list[Place]) -> _Worked | None:
        found = (self._latest.get((place, called)) for place in places)
        return next((one for one in found if one is not None), None)

    def state(self) -> dict[str, Any]:
        """Give all of it as plain JSON."""
        return {
            "latest": [[*place, called, *one.ids] for (place, called), one in self._latest.items()],
            "named": [
                [*place, called, one.did]
                for (place, called), one in self._latest.items()
                if called != one.did
            ],
            "waiting": [
                [called, [[[list(place) for place in where], list(old)] for where, old in handoffs]]
                for called, handoffs in self._waiting.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what ``state()`` gave."""
        # Earlier versions knew agents by their DIDs alone.
        named = {(kind, which, called): did for kind, which, called, did in state.get("named", ())}
        for kind, which, called, trace_id, span_id in state["latest"]:
            did = named.get((kind, which, called), called)
            self._latest[(kind, which), called] = _Worked(did, (trace_id, span_id))
        for called, handoffs in state["waiting"]:
            self._waiting[called] = [
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
