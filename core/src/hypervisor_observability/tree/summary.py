"""Sum a trace up in a few facts: what it began with, who took part, how it ended, what it used.

Event by event and in bounded memory, for lists of traces; a tree needs all events of its trace.
Both use the same words, from the same facts.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent, is_erased
from ..events.event_types import (
    AGENT_FINISHED,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    USAGE_RECORDED,
    EventType,
)
from ..events.timestamps import as_datetime
from ..facts import payload_facts, saga_facts
from ..facts.leaves import Leaves
from ..facts.prices import Prices
from ..facts.usage import Usage, used
from .open_work import Key, OpenWork

MOST_AGENTS = 1_000
"""Most agents of a trace that a summary distinguishes."""
_MOST_CHARACTERS = 300

_CALLS = {
    RUN_STARTED: ("run", "name", False),
    RUN_FINISHED: ("run", "name", True),
    TOOL_STARTED: ("tool", "tool_name", False),
    TOOL_FINISHED: ("tool", "tool_name", True),
    MODEL_STARTED: ("model", "model", False),
    MODEL_FINISHED: ("model", "model", True),
}


@define(eq=False)
class TraceSummary:
    """What is known of a trace, from the events taken so far.

    Attributes:
        trace_id: The trace, in its short form if it has one.
        begun_ns: Time of its first event.
        ended_ns: Time of its last event.
        events: Number of events.
        root_kind: What the work at its root is: ``agent``, ``run``, ``saga``, ...; empty if no
            event says so.
        root_title: The name of that work.
        agents: The agents' names by their DIDs, in order of appearance; a name is empty if no
            event gives it.
        breaches: Number of ring breaches.
        refusals: Number of decisions that denied, and of calls that were blocked.
        usage: Tokens and cost.
    """

    trace_id: str
    begun_ns: int
    ended_ns: int
    events: int = 0
    root_kind: str = ""
    root_title: str = ""
    agents: dict[str, str] = field(factory=dict)
    breaches: int = 0
    refusals: int = 0
    usage: Usage = field(factory=Usage)
    _work: OpenWork = field(factory=OpenWork, init=False)
    _root: Key | None = field(default=None, init=False)
    _root_is_first: bool = field(default=False, init=False)
    _root_end: str = field(default="", init=False)

    @classmethod
    def begin(cls, event: HypervisorEvent) -> "TraceSummary":
        """Begin the summary of the trace of *event*, which :meth:`take` has yet to take."""
        text = (event.causal_trace_id or "").partition("/")[0]
        now = event.timestamp_ns
        return cls(narrow_trace(text) or text, now, now)

    @property
    def failed(self) -> bool:
        """Whether work in it failed.

        That is a run, an agent, a saga, a step, a fan-out or a compensation that failed, a saga
        that escalated or had to be undone, or an agent that was killed. A step does not count if a
        later attempt at it succeeded, nor does anything within the earlier attempts. Nor does a
        failed call of a tool or a model, unless the work around it failed, nor a refusal or a
        breach.
        """
        return self._work.failures > 0

    @property
    def running(self) -> bool:
        """Whether work in it has begun and not ended."""
        return self._work.is_open

    @property
    def outcome(self) -> str:
        """How it ended: ``failed`` at once if something has; else ``running`` until all work has
        ended; else ``cancelled``, ``expired`` or ``erased`` if its root was, or ``ok``. Empty if
        its events are about no work.
        """
        if self.failed:
            return "failed"
        return "running" if self.running else self._root_end

    @property
    def reason(self) -> str:
        """Why it failed, as the first failure that counts gives it; empty if it gives none."""
        return self._work.reason

    @property
    def root(self) -> str:
        """The work at its root, for people."""
        kind, title = self.root_kind, self.root_title
        return f"{kind} {title}" if kind and title else kind or title

    @property
    def duration_seconds(self) -> float:
        """Seconds from its first event to its last."""
        # In whole microseconds, as a tree has it.
        return max(0, self.ended_ns // 1_000 - self.begun_ns // 1_000) / 1e6

    @property
    def agent_names(self) -> list[str]:
        """Its agents by name, or by DID if they have none."""
        return [name or did for did, name in self.agents.items()]

    def to_dict(self, *, prices: Prices | None = None) -> dict[str, Any]:
        """Give it as plain values that ``json.dumps`` takes."""
        usage = self.usage
        estimates = {} if prices is None else {"estimated_cost": dict(usage.estimated_cost)}
        return {
            "trace_id": self.trace_id,
            "begun": as_datetime(self.begun_ns).isoformat(),
            "root": {"kind": self.root_kind, "title": self.root_title},
            "agents": [{"did": did, "name": name or None} for did, name in self.agents.items()],
            "outcome": self.outcome or None,
            "failed": self.failed,
            "running": self.running,
            "reason": self.reason or None,
            "breaches": self.breaches,
            "refusals": self.refusals,
            "events": self.events,
            "duration_seconds": self.duration_seconds,
            "usage": {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cost": dict(usage.cost),
                **estimates,
            },
        }

    def take(self, event: HypervisorEvent, leaves: Leaves, prices: Prices | None = None) -> None:
        """Take an event of the trace.

        Args:
            event: The next one, by time.
            leaves: Tells usage that sums up other usage from the rest; may serve all traces.
            prices: To estimate costs that were not reported; None: they are not estimated.
        """
        now = event.timestamp_ns
        self.begun_ns, self.ended_ns = min(self.begun_ns, now), max(self.ended_ns, now)
        self.events += 1
        did = event.agent_did
        if did is not None and did not in self.agents and len(self.agents) < MOST_AGENTS:
            self.agents[did] = ""
        leaves.note(event)
        kind = event.event_type
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, event)
        elif kind == USAGE_RECORDED:
            found = used(event, prices)
            if not leaves.is_total(event, found.amounts):
                self.usage.take(found)

    def _begin(self, event: HypervisorEvent, key: Key, title: str) -> None:
        self._may_be_root(event, key, title)
        self._work.begin(key, event)

    def _end(
        self,
        event: HypervisorEvent,
        key: Key,
        title: str,
        *,
        how: str = "ok",
        failed: bool,
        counts: bool = True,
    ) -> None:
        self._may_be_root(event, key, title)
        self._work.end(key)
        if failed and counts:
            self._work.fail(key, event, payload_facts.reason(event)[:_MOST_CHARACTERS])
        if self._root is not None and self._root[: len(key)] == key[: len(self._root)]:
            self._root_end = how

    def _may_be_root(self, event: HypervisorEvent, key: Key, title: str) -> None:
        if self._root_is_first:
            return
        _, span, *parent = (event.causal_trace_id or "//").split("/")
        first = not parent or parent[0] == span
        if self._root is None or first:
            self._root, self._root_is_first = key, first
            self.root_kind = "fan-out" if key[0] == "fanout" else key[0]
            self.root_title = title[:_MOST_CHARACTERS]

    def _joined(self, event: HypervisorEvent) -> None:
        did = event.agent_did or ""
        name = payload_facts.text(event, "name")[:_MOST_CHARACTERS]
        if did in self.agents and name:
            self.agents[did] = name
        self._begin(event, ("agent", _span(event), did), name or did)

    def _finished(self, event: HypervisorEvent) -> None:
        key = ("agent", _span(event), event.agent_did or "")
        failed = payload_facts.has_failed(event)
        self._end(event, key, event.agent_did or "", how=_how(event), failed=failed)

    def _call(self, event: HypervisorEvent) -> None:
        kind, name, is_end = _CALLS[event.event_type]
        key, title = (kind, _span(event)), payload_facts.text(event, name)
        if not is_end:
            self._begin(event, key, title)
            return
        self.refusals += payload_facts.was_blocked(event)
        failed = payload_facts.has_failed(event)
        self._end(event, key, title, how=_how(event), failed=failed, counts=kind == "run")

    def _saga(self, event: HypervisorEvent) -> None:
        saga_id = saga_facts.saga_id(event)
        key, title = ("saga", saga_id), payload_facts.text(event, "name") or saga_id
        if event.event_type not in saga_facts.SAGA_ENDS:
            self._begin(event, key, title)
            return
        outcome = saga_facts.outcome(event)
        how = payload_facts.ERASED if outcome == payload_facts.ERASED else "ok"
        failed = not saga_facts.ended_well(event) or outcome == "compensated"
        self._end(event, key, title, how=how, failed=failed)

    def _step(self, event: HypervisorEvent) -> None:
        title = saga_facts.step_title(event)
        if event.event_type not in saga_facts.STEP_ENDS:
            self._begin(event, saga_facts.part_key(event), title)
            return
        how, key = saga_facts.step_end(event), saga_facts.ended_key(event)
        if how == "committed":
            self._work.heal(key[:3])
        ended = how if how == payload_facts.ERASED else "ok"
        self._end(event, key, title, how=ended, failed=how == "failed")

    def _fan_out(self, event: HypervisorEvent) -> None:
        key, title = saga_facts.part_key(event), payload_facts.text(event, "policy")
        if event.event_type == EventType.SAGA_FANOUT_STARTED:
            self._begin(event, key, title)
        else:
            self._end(event, key, title, failed=not saga_facts.is_satisfied(event))

    def _undoing(self, event: HypervisorEvent) -> None:
        how, title = saga_facts.undo_end(event), saga_facts.step_title(event)
        if how is None:
            self._begin(event, saga_facts.part_key(event), title)
        else:
            self._end(event, saga_facts.ended_key(event), title, failed=how == "failed")

    def _breach(self, _: HypervisorEvent) -> None:
        self.breaches += 1

    def _decision(self, event: HypervisorEvent) -> None:
        self.refusals += payload_facts.decision(event) == "deny"

    def _killed(self, event: HypervisorEvent) -> None:
        if payload_facts.is_kill(event):
            self._work.kill(event, payload_facts.reason(event)[:_MOST_CHARACTERS])


def _span(event: HypervisorEvent) -> str:
    return (event.causal_trace_id or "/").split("/")[1]


def _how(event: HypervisorEvent) -> str:
    left = payload_facts.left_undone(event)
    return left or (payload_facts.ERASED if is_erased(event) else "ok")


_READERS: Mapping[str, Callable[[TraceSummary, HypervisorEvent], None]] = {
    EventType.SESSION_JOINED: TraceSummary._joined,
    AGENT_FINISHED: TraceSummary._finished,
    **dict.fromkeys(_CALLS, TraceSummary._call),
    EventType.SAGA_CREATED: TraceSummary._saga,
    **dict.fromkeys(saga_facts.SAGA_ENDS, TraceSummary._saga),
    EventType.SAGA_STEP_STARTED: TraceSummary._step,
    **dict.fromkeys(saga_facts.STEP_ENDS, TraceSummary._step),
    EventType.SAGA_FANOUT_STARTED: TraceSummary._fan_out,
    EventType.SAGA_FANOUT_RESOLVED: TraceSummary._fan_out,
    EventType.SAGA_COMPENSATING: TraceSummary._undoing,
    EventType.RING_BREACH_DETECTED: TraceSummary._breach,
    GOVERNANCE_DECISION: TraceSummary._decision,
    EventType.AGENT_KILLED: TraceSummary._killed,
    EventType.QUARANTINE_ENTERED: TraceSummary._killed,
}
