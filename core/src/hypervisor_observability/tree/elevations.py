"""Read what ended a tree's elevations, and the work of agents that were killed."""

from collections.abc import Mapping

from ..causality.trace_tree import TraceTree
from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..facts.lives import ELEVATION_TYPES, Elevations, elevation_end
from .work import Work, walk


def ends(tree: TraceTree) -> Mapping[str, HypervisorEvent]:
    """Give what ended each elevation, by the ``event_id`` that began it.

    A tree is read from its roots, an agent's end before what it did meanwhile; so these are read
    by their times.
    """
    events = [
        event
        for _, node in tree.walk()
        for event in node.events
        if event.event_type in ELEVATION_TYPES
    ]
    following = Elevations(lambda event: event.event_id)
    return {
        begun: event
        for event in sorted(events, key=lambda one: one.timestamp_ns)
        for _, begun in following.take(event)
    }


def end(work: Work, event: HypervisorEvent) -> None:
    """Note that *event* ended an elevation."""
    how = elevation_end(event)
    if how == "killed":
        work.end(event, "failed", "KILLED")
    else:
        work.end(event, "ok", "expired" if how == "expired" else "ended")


def note_kills(tree: TraceTree, roots: list[Work]) -> None:
    """End what agents that were killed had not ended."""
    kills = {
        (event.agent_did, event.session_id): event
        for _, node in tree.walk()
        for event in node.events
        if event.agent_did is not None and payload_facts.is_kill(event)
    }
    if not kills:
        return
    for work in walk(roots):
        begun = work.begun
        did = work.agent_did
        if work.state != "running" or begun is None or did is None:
            continue
        for session in (begun.session_id, None):
            kill = kills.get((did, session))
            if kill is not None and begun.timestamp_ns <= kill.timestamp_ns:
                work.end(kill, "failed", "KILLED")
