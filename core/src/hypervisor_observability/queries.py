"""Answer questions to the log by its indexes, without scanning."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from .events import HypervisorEvent
from .log import EventLog, Kept
from .segments import Indexed, newest_first

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
    kept = log.kept()
    if event_type is None and session_id is None and agent_did is None:
        return _newest(kept, limit)
    found: list[list[HypervisorEvent]] = []
    wanted = limit
    for indexed in newest_first(kept.segments):
        if indexed.segments[-1].end <= kept.first:
            break
        matches = _matches(indexed, kept, event_type, session_id, agent_did, wanted)
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
    for indexed in newest_first(kept.segments):
        for name, positions in indexed.index.by_type.items():
            counts[name] += len(indexed.visible(positions, kept.first, kept.end))
    return +counts


def _newest(kept: Kept, limit: int | None) -> list[HypervisorEvent]:
    first = kept.first if limit is None else max(kept.first, kept.end - limit)
    found: list[HypervisorEvent] = []
    for segment in kept.segments:
        found += segment.events[max(0, first - segment.start) : max(0, kept.end - segment.start)]
    return found


def _matches(
    indexed: Indexed,
    kept: Kept,
    event_type: str | None,
    session_id: str | None,
    agent_did: str | None,
    wanted: int | None,
) -> list[HypervisorEvent]:
    """Give the newest *wanted* of the events that match, oldest first."""
    index = indexed.index
    candidates = []
    if event_type is not None:
        candidates.append(index.by_type.get(event_type, _NOWHERE))
    if session_id is not None:
        candidates.append(index.by_session.get(session_id, _NOWHERE))
    if agent_did is not None:
        candidates.append(index.by_agent.get(agent_did, _NOWHERE))
    fewest = indexed.visible(min(candidates, key=len), kept.first, kept.end)
    if len(candidates) == 1:
        return list(indexed.events(fewest if wanted is None else fewest[-wanted:]))
    matches = (
        event
        for event in indexed.events(fewest[::-1])  # the newest ones may suffice
        if (event_type is None or event.event_type == event_type)
        and (session_id is None or event.session_id == session_id)
        and (agent_did is None or event.agent_did == agent_did)
    )
    return list(islice(matches, wanted))[::-1]
