"""Answer questions to the log by its segments' indexes, without scanning."""

from collections.abc import Iterator

from .events import HypervisorEvent
from .log import EventLog, Segment


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
    segments, first, end = log.kept()
    if event_type is None and session_id is None and agent_did is None:
        if limit is not None:
            first = max(first, end - limit)
        return [event for segment in segments for event in _window(segment, first, end)]
    found: list[list[HypervisorEvent]] = []
    wanted = limit
    for segment in reversed(segments):
        if segment.events and segment.end > first:
            matches = list(_matches(segment, first, end, event_type, session_id, agent_did))
            if wanted is not None:
                matches = matches[max(0, len(matches) - wanted) :]
                wanted -= len(matches)
            found.append(matches)
            if wanted == 0:
                break
    return [event for matches in reversed(found) for event in matches]


def select_by_time(log: EventLog, start_ns: int, end_ns: int | None) -> list[HypervisorEvent]:
    """Give the events from *start_ns* to *end_ns* (None: no end), both included."""
    segments, first, end = log.kept()
    found: list[HypervisorEvent] = []
    for segment in segments:
        if not segment.events:
            continue
        index = segment.index()
        if index.greatest_ns < start_ns or (end_ns is not None and index.least_ns > end_ns):
            continue
        found.extend(
            event
            for event in _window(segment, first, end)
            if start_ns <= event.timestamp_ns and (end_ns is None or event.timestamp_ns <= end_ns)
        )
    return found


def _window(segment: Segment, first: int, end: int) -> list[HypervisorEvent]:
    low, high = max(0, first - segment.start), max(0, end - segment.start)
    return segment.events[low:high]


def _matches(
    segment: Segment,
    first: int,
    end: int,
    event_type: str | None,
    session_id: str | None,
    agent_did: str | None,
) -> Iterator[HypervisorEvent]:
    index = segment.index()
    nothing: list[int] = []
    candidates = []
    if event_type is not None:
        candidates.append(index.by_type.get(event_type, nothing))
    if session_id is not None:
        candidates.append(index.by_session.get(session_id, nothing))
    if agent_did is not None:
        candidates.append(index.by_agent.get(agent_did, nothing))
    low, high = first - segment.start, end - segment.start
    for position in min(candidates, key=len):
        event = segment.events[position]
        if (
            low <= position < high
            and (event_type is None or event.event_type == event_type)
            and (session_id is None or event.session_id == session_id)
            and (agent_did is None or event.agent_did == agent_did)
        ):
            yield event
