"""The story of a session: who worked when, who handed over to whom, what became of its files."""

from collections import deque
from collections.abc import Callable, Mapping

from attrs import define, evolve, field, frozen

from ..events.event import HypervisorEvent
from ..events.event_types import (
    AGENT_FINISHED,
    AGENT_HANDOFF,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    MODEL_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    EventType,
)
from ..facts import payload_facts, saga_facts
from .calls import trace_of, what_went_wrong
from .handoffs import DidsByName

MOST_AGENTS = 200
"""Most agents of a session that get a line: the first."""
MOST_STRETCHES = 4_000
MOST_MARKS = 2_000
"""Most pieces of work, and most of what just happened, that are told: the newest."""

_MOST_CHARACTERS = 300
_MOST_OPEN = 4_000

_BEGINNINGS: Mapping[str, tuple[str, str]] = {
    EventType.SESSION_JOINED: ("agent", "name"),
    TOOL_STARTED: ("tool", "tool_name"),
    MODEL_STARTED: ("model", "model"),
    EventType.SAGA_STEP_STARTED: ("step", ""),
}
_ENDS: Mapping[str, str] = {
    AGENT_FINISHED: "agent",
    TOOL_FINISHED: "tool",
    MODEL_FINISHED: "model",
    **dict.fromkeys(saga_facts.STEP_ENDS, "step"),
}
_FILES: Mapping[str, str] = {
    EventType.VFS_WRITE: "wrote",
    EventType.VFS_DELETE: "deleted",
    EventType.VFS_SNAPSHOT: "took a snapshot",
    EventType.VFS_RESTORE: "restored",
    EventType.VFS_CONFLICT: "conflict",
}


@define(eq=False)
class Stretch:
    """A piece of work of an agent.

    Attributes:
        agent: Who did it, by its DID.
        kind: ``agent``, ``tool``, ``model`` or ``step``.
        title: Its name.
        begun_ns: When it began, in nanoseconds since the epoch.
        ended_ns: When it ended, likewise; None: it has not.
        word: How it ended, in the words of ``payload_facts.work_end``, of a step in those of
            ``saga_facts.step_end``; ``running`` until then.
        trace: The trace that it belongs to; None: to none.
    """

    agent: str
    kind: str
    title: str
    begun_ns: int
    ended_ns: int | None = None
    word: str = "running"
    trace: str | None = None


@frozen(kw_only=True)
class Mark:
    """What just happened.

    Attributes:
        kind: ``handoff``, ``file``, ``decision``, ``breach``, ``killed`` or ``quarantine``.
        at_ns: When, in nanoseconds since the epoch.
        agent: Whose it is, by its DID, or the name that the event gives; empty: nobody's.
        word: What was done.
        text: To what, or why.
        taker: Who was handed the work, likewise.
        is_trouble: Whether something went wrong.
        trace: As of a stretch.
    """

    kind: str
    at_ns: int
    agent: str
    word: str
    text: str
    taker: str = ""
    is_trouble: bool = False
    trace: str | None = None


@define(eq=False)
class SessionStory:
    """A session, as its events tell it one by one.

    Attributes:
        events: How many there were.
        begun_ns: The time of the first, in nanoseconds since the epoch; None: there was none.
        last_ns: That of the last.
        ended_ns: When the session ended, likewise; None: it has not.
        agents: The names of its agents by their DIDs, in order of appearance.
        agents_left_out: How many events were of further agents.
        stretches: What they worked on.
        marks: What happened meanwhile.
        stretches_left_out: How many pieces of work there were before those.
        marks_left_out: The same for what happened.
        names: Whom the marks mean by a name.
    """

    events: int = 0
    begun_ns: int | None = None
    last_ns: int = 0
    ended_ns: int | None = None
    agents: dict[str, str] = field(factory=dict)
    agents_left_out: int = 0
    stretches: deque[Stretch] = field(factory=lambda: deque(maxlen=MOST_STRETCHES))
    marks: deque[Mark] = field(factory=lambda: deque(maxlen=MOST_MARKS))
    stretches_left_out: int = 0
    marks_left_out: int = 0
    names: DidsByName = field(factory=DidsByName)
    _open: dict[tuple[str, ...], Stretch] = field(factory=dict, init=False)

    def take(self, event: HypervisorEvent) -> None:
        """Take the next event of the session."""
        now, kind = event.timestamp_ns, event.event_type
        self.events += 1
        self.begun_ns = now if self.begun_ns is None else min(self.begun_ns, now)
        self.last_ns = max(self.last_ns, now)
        self.ended_ns = ended_after(event, self.ended_ns)
        did = event.agent_did
        if (tell := _MARKS.get(kind)) is not None:
            self.marks_left_out += len(self.marks) == self.marks.maxlen
            self.marks.append(tell(event))
        if did is None:
            return
        if did not in self.agents:
            if len(self.agents) >= MOST_AGENTS:
                self.agents_left_out += 1
                return
            self.agents[did] = ""
        if kind == EventType.SESSION_JOINED:
            self.names.meet(event)
            name = payload_facts.name(event, "name")[:_MOST_CHARACTERS]
            self.agents[did] = name or self.agents[did]
        if kind in _BEGINNINGS:
            self._begin(event, did)
        elif kind in _ENDS:
            self._end(event)
        elif payload_facts.is_kill(event):
            self._kill(did, now)

    def _begin(self, event: HypervisorEvent, did: str) -> None:
        kind, key = _BEGINNINGS[event.event_type]
        title = payload_facts.text(event, key) if key else saga_facts.step_title(event)
        stretch = Stretch(
            did, kind, title[:_MOST_CHARACTERS] or did, event.timestamp_ns, trace=trace_of(event)
        )
        self.stretches_left_out += len(self.stretches) == self.stretches.maxlen
        self.stretches.append(stretch)
        if len(self._open) < _MOST_OPEN:
            self._open[_key(kind, event)] = stretch

    def _end(self, event: HypervisorEvent) -> None:
        kind = _ENDS[event.event_type]
        is_step = kind == "step"
        key = saga_facts.ended_among(event, self._open) if is_step else _key(kind, event)
        stretch = self._open.pop(key, None)
        if stretch is not None:
            how = saga_facts.step_end(event) if is_step else payload_facts.work_end(event)
            stretch.ended_ns, stretch.word = max(stretch.begun_ns, event.timestamp_ns), how

    def _kill(self, did: str, now_ns: int) -> None:
        for key, stretch in list(self._open.items()):
            if stretch.agent == did:
                del self._open[key]
                stretch.ended_ns, stretch.word = max(stretch.begun_ns, now_ns), "killed"


def ended_after(event: HypervisorEvent, ended_ns: int | None) -> int | None:
    """Give when a session ended, after one more of its events; None: it goes on.

    Args:
        event: The event.
        ended_ns: When it had ended before that, in nanoseconds since the epoch.
    """
    if event.event_type in payload_facts.SESSION_ENDS:
        return event.timestamp_ns
    return None if event.event_type in payload_facts.SESSION_BEGINNINGS else ended_ns


def _key(kind: str, event: HypervisorEvent) -> tuple[str, ...]:
    if kind == "step":
        return saga_facts.part_key(event)
    return (kind, event.causal_trace_id or "", event.agent_did or "")


def _mark(
    event: HypervisorEvent, kind: str, word: str, text: str, *, is_trouble: bool = False
) -> Mark:
    return Mark(
        kind=kind,
        at_ns=event.timestamp_ns,
        agent=event.agent_did or "",
        word=word,
        text=text[:_MOST_CHARACTERS],
        is_trouble=is_trouble,
        trace=trace_of(event),
    )


def _handoff(event: HypervisorEvent) -> Mark:
    giver, taker = (name[:_MOST_CHARACTERS] for name in payload_facts.handoff(event))
    told = _mark(event, "handoff", "handed over", payload_facts.reason(event))
    return evolve(told, agent=giver, taker=taker)


def _file(event: HypervisorEvent) -> Mark:
    kind = event.event_type
    what = payload_facts.text(event, "path") or payload_facts.text(event, "snapshot_id")
    return _mark(event, "file", _FILES[kind], what, is_trouble=kind == EventType.VFS_CONFLICT)


def _decision(event: HypervisorEvent) -> Mark:
    decision = payload_facts.decision(event)
    tool, why = payload_facts.text(event, "tool_name"), payload_facts.reason(event)
    word = {"allow": "allowed", "deny": "REFUSED"}.get(decision, decision)
    text = f"{tool}: {why}" if tool and why else tool or why
    return _mark(event, "decision", word, text, is_trouble=decision == "deny")


def _breach(event: HypervisorEvent) -> Mark:
    tried = payload_facts.text(event, "attempted_tool")
    return _mark(event, "breach", "BREACH", tried, is_trouble=True)


def _killed(event: HypervisorEvent) -> Mark:
    return _mark(event, "killed", "KILLED", what_went_wrong(event), is_trouble=True)


def _quarantine(event: HypervisorEvent) -> Mark:
    entered = event.event_type == EventType.QUARANTINE_ENTERED
    word = "quarantined" if entered else "released"
    why = payload_facts.reason(event)
    return _mark(event, "quarantine", word, why, is_trouble=entered)


_MARKS: Mapping[str, Callable[[HypervisorEvent], Mark]] = {
    AGENT_HANDOFF: _handoff,
    EventType.SAGA_HANDOFF: _handoff,
    **dict.fromkeys(_FILES, _file),
    GOVERNANCE_DECISION: _decision,
    EventType.RING_BREACH_DETECTED: _breach,
    EventType.AGENT_KILLED: _killed,
    EventType.QUARANTINE_ENTERED: _quarantine,
    EventType.QUARANTINE_RELEASED: _quarantine,
}
