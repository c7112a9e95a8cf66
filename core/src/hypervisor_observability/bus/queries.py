"""Answer questions to the log by its indexes, without scanning."""

from collections import Counter
from collections.abc import Sequence

from ..events import ids
from ..events.event import HypervisorEvent
from .log import EventLog, Kept
from .segments import Index, Segment, events_at, newest_first, visible

_NOWHERE: Sequence[int] = ()


def select(
    log: EventLog,
    *,
    event_type: str | None = None,
    session_id: str | None = None,
    agent_did: str | None = None,
    limit: int | None = None,
) -> list[HypervisorEvent]:
    """Give the newest *limit* events that match all that is not None, oldest first."""
    if limit is not None and limit <= 0:
        return []
    if session_id is not None:  # as events have them, whatever type they are of
        session_id = ids.as_text(session_id)
    if agent_did is not None:
        agent_did = ids.as_text(agent_did)
    kept = log.kept()
    if event_type is None and session_id is None and agent_did is None:
        return _newest(kept, limit)
    found: list[list[HypervisorEvent]] = []
    wanted = limit
    for index, segments in newest_first(kept.segments):
        positions = _fewest(index, event_type, session_id, agent_did)
        if not positions:
            continue
        positions = visible(positions, index, segments, kept.first, kept.end)
        matches = _matches(positions, segments, event_type, session_id, agent_did, wanted)
        found.append(matches)
        if wanted is not None:
            wanted -= len(matches)
            if wanted == 0:
                break
    return [event for matches in reversed(found) for event in matches]


def select_by_time(log: EventLog, start_ns: int, end_ns: int | None) -> list[HypervisorEvent]:
    """Give the events from *start_ns* to *end_ns* (None: no end), both included."""
    kept = log.kept()
    found: list[HypervisorEvent] = []
    for segment in kept.segments:
        if segment.events:
            found += segment.between(start_ns, end_ns, kept.first, kept.end)
    return found


def type_counts(log: EventLog) -> Counter[str]:
    """Count the kept events by type."""
    kept = log.kept()
    counts: Counter[str] = Counter()
    for index, segments in newest_first(kept.segments):
        for name, positions in index.by_type.items():
            counts[name] += len(visible(positions, index, segments, kept.first, kept.end))
    return +counts


def _newest(kept: Kept, limit: int | None) -> list[HypervisorEvent]:
    first = kept.first if limit is None else max(kept.first, kept.end - limit)
    found: list[HypervisorEvent] = []
    for segment in kept.segments:
        found += segment.events[max(0, first - segment.start) : max(0, kept.end - segment.start)]
    return found


def _fewest(
    index: Index, event_type: str | None, session_id: str | None, agent_did: str | None
) -> Sequence[int]:
    """Give the positions for that key which the index has least often."""
    fewest: Sequence[int] | None = None
    if session_id is not None:
        fewest = index.by_session.get(session_id, _NOWHERE)
    if agent_did is not None:
        positions = index.by_agent.get(agent_did, _NOWHERE)
        if fewest is None or len(positions) < len(fewest):
            fewest = positions
    if event_type is not None:
        positions = index.by_type.get(event_type, _NOWHERE)
        if fewest is None or len(positions) < len(fewest):
            fewest = positions
    return fewest or _NOWHERE


def _matches(
    positions: Sequence[int],
    segments: Sequence[Segment],
    event_type: str | None,
    session_id: str | None,
    agent_did: str | None,
    wanted: int | None,
) -> list[HypervisorEvent]:
    """Give the newest *wanted* of the events at *positions* that match, oldest first."""
    matches: list[HypervisorEvent] = []
    for event in events_at(reversed(positions), segments):
        if (
            (event_type is None or event.event_type == event_type)
            and (session_id is None or event.session_id == session_id)
            and (agent_did is None or event.agent_did == agent_did)
        ):
            matches.append(event)
            if len(matches) == wanted:
                break
    matches.reverse()
    return matches
