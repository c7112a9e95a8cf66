"""One row an agent: its ring, what it works on, its tools, what was refused, what it used."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    MODEL_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    USAGE_RECORDED,
    EventType,
)
from hypervisor_observability.facts import payload_facts, saga_facts
from hypervisor_observability.facts.lasting import Lasting, key_of
from hypervisor_observability.facts.leaves import BEGINNINGS, Leaves
from hypervisor_observability.facts.lives import LIFE_TYPES, Members
from hypervisor_observability.facts.present_rings import RING_TYPES, PresentRings
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.facts.usage import OTHER, used
from hypervisor_observability.report.agents import AgentStory
from hypervisor_observability.stores import Entry, trace_of
from hypervisor_web.boards.plain import MOST_CHARACTERS, microseconds, usage_told

MOST_AGENTS = 1_000
"""Most agents that have a row: those seen last."""
MOST_TOOLS = 30
"""Most tools of an agent that are told apart; further ones are ``other``."""
_MOST_DOING = 64
_MOST_DID_CHARACTERS = 1_000


@frozen
class Doing:
    """A call or a step that an agent is at.

    Attributes:
        kind: ``tool``, ``model`` or ``step``.
        title: Its name.
        begun_ns: Since when, in nanoseconds since the epoch.
        trace: In which trace; None: in none.
        session: In which session; None: in none.
    """

    kind: str
    title: str
    begun_ns: int
    trace: str | None
    session: str | None


@define(eq=False)
class AgentRow:
    """An agent.

    Attributes:
        story: What it did, in numbers.
        events: How many events were about it.
        seen_ns: The time of the last, in nanoseconds since the epoch.
        works: How many pieces of its own work go on.
        doing: The calls and steps that it is at, the newest last.
        tools: How many calls of each tool ended.
        failed: How many of those failed.
        refused: How many of each were refused, or denied.
        session: The session of the last event that named one.
        trace: The trace of the last event that had one.
        killed: Whether it was made to end, and has not joined since.
    """

    story: AgentStory = field(factory=AgentStory)
    events: int = 0
    seen_ns: int = 0
    works: int = 0
    doing: OrderedDict[tuple[str, ...], Doing] = field(factory=OrderedDict)
    tools: Counter[str] = field(factory=Counter)
    failed: Counter[str] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    session: str | None = None
    trace: str | None = None
    killed: bool = False

    def state(self, *, is_quarantined: bool) -> str:
        """Tell how it stands: ``killed``, ``quarantined``, ``running`` or ``idle``."""
        if self.killed and not self.works:  # it may work on in another session
            return "killed"
        if is_quarantined:
            return "quarantined"
        return "running" if self.works or self.doing else "idle"

    def begin(self, kind: str, event: HypervisorEvent, title: str, key: tuple[str, ...]) -> None:
        """Take the beginning of a call or a step."""
        begun_ns, session = event.timestamp_ns, event.session_id
        self.doing[key] = Doing(kind, title[:MOST_CHARACTERS], begun_ns, trace_of(event), session)
        if len(self.doing) > _MOST_DOING:
            self.doing.popitem(last=False)


@define(eq=False)
class AgentsBoard:
    """The agents.

    Attributes:
        prices: To estimate costs that were not told; None: they are not estimated.
        rows: By their DIDs, the one seen last at the end.
        left_out: How many rows had to go for newer ones.
        version: Grows with each event that changes anything.
    """

    prices: Prices | None = None
    rows: OrderedDict[str, AgentRow] = field(factory=OrderedDict)
    left_out: int = 0
    version: int = 0
    _rings: PresentRings = field(factory=PresentRings, init=False)
    _quarantines: Lasting[bool] = field(factory=Lasting, init=False)
    _leaves: Leaves = field(factory=Leaves, init=False)
    _members: Members[AgentRow] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._members = Members(Lasting(), self._row)

    def take(self, entry: Entry, position: int) -> None:  # noqa: ARG002 - as all boards
        """Look at an event."""
        event = entry.event
        kind = event.event_type
        if kind in BEGINNINGS:
            self._leaves.note(event)
        if kind in RING_TYPES:
            self._rings.take(event)
        if event.agent_did is not None:
            row = self._row(event)
            row.events += 1
            row.seen_ns = max(row.seen_ns, event.timestamp_ns)
            row.session = event.session_id or row.session
            row.trace = trace_of(event) or row.trace
            reader = _READERS.get(kind)
            if reader is not None:
                reader(row, event)
            elif kind == USAGE_RECORDED:
                found = used(event, self.prices)
                if not self._leaves.is_total(event, found.amounts):
                    row.story.usage.take(found)
            self.version += 1
        if kind in LIFE_TYPES:
            self._live(event)
        if kind == EventType.QUARANTINE_ENTERED and not payload_facts.is_kill(event):
            self._quarantines.begin(key_of(event), True)
        elif kind == EventType.QUARANTINE_RELEASED:
            self._quarantines.end(key_of(event))

    def told(self) -> dict[str, Any]:
        """Tell of all of them in plain data, the one seen last first."""
        return {
            "agents": [self._told(did, row) for did, row in reversed(self.rows.items())],
            "left_out": self.left_out,
        }

    def _row(self, event: HypervisorEvent) -> AgentRow:
        did = (event.agent_did or "")[:_MOST_DID_CHARACTERS]
        row = self.rows.get(did)
        if row is None:
            row = self.rows[did] = AgentRow()
            if len(self.rows) > MOST_AGENTS:
                oldest, _ = self.rows.popitem(last=False)
                self._rings.forget(oldest)
                self._quarantines.end_all(oldest, None)
                self.left_out += 1
        else:
            self.rows.move_to_end(did)
        return row

    def _live(self, event: HypervisorEvent) -> None:
        """Follow whose work goes on."""
        begins = event.event_type == EventType.SESSION_JOINED
        if event.agent_did is None and event.event_type not in payload_facts.SESSION_ENDS:
            return  # nobody's
        if begins:
            self._row(event).works += 1
        ended = self._members.take(event)
        for _, row in ended:
            row.works = max(0, row.works - 1)
            if row.works == 0 and not begins:
                row.doing.clear()
        self.version += len(ended)

    def _told(self, did: str, row: AgentRow) -> dict[str, Any]:
        grant = self._rings.grant_of(did)
        doing = next(reversed(row.doing.values()), None)
        return {
            "did": did,
            "name": row.story.name,
            "state": row.state(is_quarantined=self._quarantines.any_of(did)),
            "ring": self._rings.by_agent.get(did),
            "elevated": grant is not None,
            "until": None if grant is None else microseconds(grant.until_ns),
            "doing": None
            if doing is None
            else [doing.kind, doing.title, microseconds(doing.begun_ns), doing.trace],
            "more": max(0, len(row.doing) - 1),
            "trace": row.trace,
            "session": row.session,
            "tools": row.tools.most_common(),
            "refused": row.refused.most_common(),
            "refusals": row.refused.total(),
            "breaches": row.story.breaches,
            "failed": row.failed.most_common(),
            "failed_work": row.story.ends["error"],
            "events": row.events,
            "seen": microseconds(row.seen_ns),
            **usage_told(row.story.usage),
        }


def _count(counts: Counter[str], name: str) -> None:
    name = name[:MOST_CHARACTERS] or payload_facts.UNKNOWN
    counts[name if name in counts or len(counts) < MOST_TOOLS else OTHER] += 1


def _key(kind: str, event: HypervisorEvent) -> tuple[str, ...]:
    return (kind, event.causal_trace_id or "")


def _joined(row: AgentRow, event: HypervisorEvent) -> None:
    row.story.join(event)
    row.killed = False


def _finished(row: AgentRow, event: HypervisorEvent) -> None:
    row.story.end(event)


def _tool_started(row: AgentRow, event: HypervisorEvent) -> None:
    row.begin("tool", event, payload_facts.name(event, "tool_name"), _key("tool", event))


def _tool_finished(row: AgentRow, event: HypervisorEvent) -> None:
    row.doing.pop(_key("tool", event), None)
    name = payload_facts.name(event, "tool_name")
    _count(row.tools, name)
    how = payload_facts.work_end(event)
    if how == "error":
        _count(row.failed, name)
    elif how == "blocked":
        _count(row.refused, name)


def _model_started(row: AgentRow, event: HypervisorEvent) -> None:
    row.begin("model", event, payload_facts.name(event, "model"), _key("model", event))


def _model_finished(row: AgentRow, event: HypervisorEvent) -> None:
    row.doing.pop(_key("model", event), None)


def _step_started(row: AgentRow, event: HypervisorEvent) -> None:
    row.begin("step", event, saga_facts.step_title(event), saga_facts.part_key(event))


def _step_ended(row: AgentRow, event: HypervisorEvent) -> None:
    row.doing.pop(saga_facts.ended_among(event, row.doing), None)


def _decided(row: AgentRow, event: HypervisorEvent) -> None:
    if payload_facts.decision(event) == "deny":
        row.story.deny(event)
        _count(row.refused, payload_facts.name(event, "tool_name"))


def _breached(row: AgentRow, event: HypervisorEvent) -> None:
    row.story.breach(event)


def _killed(row: AgentRow, event: HypervisorEvent) -> None:
    if payload_facts.is_kill(event):
        row.killed = True
        session = event.session_id
        for key in [key for key, one in row.doing.items() if session in {None, one.session}]:
            del row.doing[key]


_READERS: Mapping[str, Callable[[AgentRow, HypervisorEvent], None]] = {
    EventType.SESSION_JOINED: _joined,
    AGENT_FINISHED: _finished,
    TOOL_STARTED: _tool_started,
    TOOL_FINISHED: _tool_finished,
    MODEL_STARTED: _model_started,
    MODEL_FINISHED: _model_finished,
    EventType.SAGA_STEP_STARTED: _step_started,
    **dict.fromkeys(saga_facts.STEP_ENDS, _step_ended),
    GOVERNANCE_DECISION: _decided,
    EventType.RING_BREACH_DETECTED: _breached,
    EventType.AGENT_KILLED: _killed,
    EventType.QUARANTINE_ENTERED: _killed,
}
