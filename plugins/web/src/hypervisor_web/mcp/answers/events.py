"""``search_events``: recorded events, the newest first."""

import json

from hypervisor_observability.errors import FilterError
from hypervisor_observability.events.event import HypervisorEvent, is_erased
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.search.filter_text import parse
from hypervisor_observability.stores import trace_of

from .answer import MOST_CHARACTERS, Answer, CannotAnswerError, Item
from .reading import Reading, last_moment, moment, short_trace
from .shortening import counted, line, shortened, who

MOST_EVENTS = 200
"""Most events of one answer."""
_LEAST_PAYLOAD, _MOST_PAYLOAD = 200, 3_000
_OPTIONS = "--type, --agent, --session, --trace, --since, --until, --text, --wrong"


def search_events(reading: Reading, text: str, limit: int) -> Answer:
    """Find the newest events that a filter chooses.

    Raises:
        CannotAnswerError: The filter cannot be read.
    """
    try:
        choice = parse(text)
    except FilterError as error:
        raise CannotAnswerError(
            f"The filter cannot be read: {error}. It takes {_OPTIONS}, and words to be found."
        ) from error
    limit = max(1, min(limit, MOST_EVENTS))
    choice.names = reading.names()
    found = [entry.event for entry in choice.events(reading, limit)]
    found.reverse()
    answer = Answer()
    if not found:
        answer.notes.append(
            f"No event matches. {reading.read:,} events were compared."
            " Try fewer conditions, a pattern such as --type 'tool.*', or list_traces."
        )
    else:
        full = len(found) == limit
        answer.notes.append(
            f"{'The newest ' if full else ''}{counted(len(found), 'event')}, newest first."
        )
        if full:
            answer.notes.append(
                f"There may be older ones: add --until {last_moment(found[-1].timestamp_ns)}"
                " to the filter, or raise the limit"
                f" (at most {MOST_EVENTS})."
            )
    answer.notes += reading.notes(
        "Conditions on --trace or --session are fast.", further="add --until"
    )
    room = payload_room(len(found))
    answer.add(
        "events",
        [event_item(event, choice.names, room) for event in found],
        "Ask with a smaller limit, or a narrower filter.",
    )
    return answer


def payload_room(events: int) -> int:
    """Give how many characters of each payload are told, if there are so many *events*."""
    share = MOST_CHARACTERS // max(1, events) - 200
    return max(_LEAST_PAYLOAD, min(_MOST_PAYLOAD, share))


def event_item(event: HypervisorEvent, names: AgentNames, room: int) -> Item:
    """Tell of an event: of its payload at most *room* characters."""
    trace = trace_of(event)
    did = event.agent_did
    name = "" if did is None else names.of(did)
    erased = is_erased(event)
    payload = {} if erased else shortened(event.to_dict()["payload"], room)
    told = {
        "time": moment(event.timestamp_ns),
        "type": event.event_type.value,
        "agent": did,
        "agent_name": name or None,
        "session": event.session_id,
        "trace": None if trace is None else short_trace(trace),
        "event_id": event.event_id,
        "payload": payload,
        "erased": erased or None,
    }
    words = [
        told["time"],
        told["type"],
        f"agent={who(did, name)}" if did else "",
        f"session={line(event.session_id)}" if event.session_id else "",
        f"trace={line(told['trace'])}" if trace else "",
        "(erased)" if erased else json.dumps(payload, ensure_ascii=False),
    ]
    data = {key: value for key, value in told.items() if value is not None}
    return Item(" ".join(str(word) for word in words if word), data)
