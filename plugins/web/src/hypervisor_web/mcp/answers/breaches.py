"""``who_breached``: which agents tried what their ring does not allow, and what came of it."""

from collections import Counter

from attrs import define, field

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.facts import payload_facts
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.stores import Wanted, trace_of

from .answer import Answer, Item
from .reading import Reading, moment, short_trace
from .shortening import counted, cut, line, who
from .traces import read_time

MOST_BREACHES = 10_000
"""Most breaches that are counted: the newest."""
_MOST_AGENTS = 200
_MOST_TOOLS = 8
_MOST_TEXT = 200
_AFTERWARDS = (
    EventType.AGENT_KILLED,
    EventType.QUARANTINE_ENTERED,
    EventType.SLASH_EXECUTED,
    EventType.RING_DEMOTED,
)
_MOST_AFTERWARDS = 500


@define(eq=False)
class _Offender:
    did: str
    last: HypervisorEvent
    count: int = 0
    refused: int = 0
    tools: Counter[str] = field(factory=Counter)
    severities: Counter[str] = field(factory=Counter)
    since_ns: int = 0
    afterwards: Counter[str] = field(factory=Counter)

    def take(self, event: HypervisorEvent) -> None:
        self.count += 1
        self.refused += payload_facts.is_refused_breach(event)
        tool = payload_facts.text(event, "attempted_tool")
        self.tools[cut(tool, _MOST_TEXT) or payload_facts.UNKNOWN] += 1
        self.severities[payload_facts.severity(event)] += 1
        self.since_ns = event.timestamp_ns


def who_breached(reading: Reading, since: str | None) -> Answer:
    """Tell of each agent that breached its ring, the one with most breaches first.

    Raises:
        CannotAnswerError: *since* is not a time.
    """
    since_ns = read_time("since", since)
    offenders: dict[str, _Offender] = {}
    beyond = 0
    kind = EventType.RING_BREACH_DETECTED.value
    bounded = reading.anew(MOST_BREACHES)
    wanted = Wanted(event_type=kind, since_ns=since_ns)
    for entry in bounded.events(wanted, newest_first=True):
        event = entry.event
        did = event.agent_did or payload_facts.UNKNOWN
        if did not in offenders and len(offenders) >= _MOST_AGENTS:
            beyond += 1
            continue
        offenders.setdefault(did, _Offender(did, event)).take(event)
    answer = Answer()
    count = sum(one.count for one in offenders.values()) + beyond
    when = "" if since_ns is None else f" since {moment(since_ns)}"
    if not count:
        answer.notes.append(f"No breach of a ring was recorded{when}.")
    else:
        answer.notes.append(
            f"{counted(count, 'breach')} of rings{when}, by"
            f" {'at least ' * bool(beyond)}{counted(len(offenders), 'agent')}."
        )
        _see_what_followed(reading, offenders)
    if bounded.stopped:
        answer.notes += bounded.notes("Ask with since for a shorter time.")
    answer.notes.append(
        "Decisions of a policy that denied are not breaches:"
        " search_events with the filter --type governance.decision --wrong finds them."
    )
    names = reading.names()
    ranked = sorted(offenders.values(), key=lambda one: (-one.count, one.did))
    answer.add("agents", [_item(one, names) for one in ranked], "Ask with since.")
    return answer


def _see_what_followed(reading: Reading, offenders: dict[str, _Offender]) -> None:
    first_ns = min(one.since_ns for one in offenders.values())
    for kind in _AFTERWARDS:
        wanted = Wanted(event_type=kind.value, since_ns=first_ns)
        for entry in reading.anew(_MOST_AFTERWARDS).events(wanted, newest_first=True):
            offender = offenders.get(entry.event.agent_did or "")
            if offender is not None and entry.event.timestamp_ns >= offender.since_ns:
                offender.afterwards[kind.value] += 1


def _item(one: _Offender, names: AgentNames) -> Item:
    name = names.of(one.did)
    trace = trace_of(one.last)
    data = {
        "agent": cut(one.did, _MOST_TEXT),
        "agent_name": cut(name, _MOST_TEXT) or None,
        "breaches": one.count,
        "refused": one.refused or None,
        "tried": dict(one.tools.most_common(_MOST_TOOLS)),
        "severities": dict(one.severities),
        "ring": payload_facts.text(one.last, "ring")[:_MOST_TEXT] or None,
        "needed_ring": payload_facts.text(one.last, "required_ring")[:_MOST_TEXT] or None,
        "first": moment(one.since_ns),
        "last": moment(one.last.timestamp_ns),
        "last_trace": None if trace is None else short_trace(trace),
        "session": one.last.session_id,
        "afterwards": dict(one.afterwards) or None,
    }
    told = {key: value for key, value in data.items() if value is not None}
    tried = ", ".join(f"{tool} x{n}" for tool, n in one.tools.most_common(_MOST_TOOLS))
    grave = ", ".join(f"{word} x{n}" for word, n in one.severities.items())
    words = [
        who(one.did, name),
        counted(one.count, "breach"),
        f"{one.refused:,} recorded as refused" if one.refused else "",
        f"tried {line(tried, 400)}",
        f"severity {grave}",
        f"last {told['last']}",
        f"trace {line(told['last_trace'])}" if trace else "",
        f"afterwards: {', '.join(f'{k} x{n}' for k, n in one.afterwards.items())}"
        if one.afterwards
        else "",
    ]
    return Item(" | ".join(word for word in words if word), told)
