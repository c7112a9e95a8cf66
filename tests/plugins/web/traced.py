"""Traces for tests of the page, and the answers about them without a server."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from attrs import Factory, define, field

from hypervisor_observability import Config, HypervisorEvent, Observability
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.events.event_types import EventType
from hypervisor_observability.serving.pages import Page, Request
from hypervisor_observability.stores import Entry, Wanted, trace_of
from hypervisor_web.traces.endpoints import endpoints
from hypervisor_web.traces.looking import Past
from hypervisor_web.traces.traces import Traces
from tests.plugins.web.scenario import play

_BEGUN = 1_780_000_000.0  # seconds since the epoch


@define(eq=False)
class Recorded:
    """What was recorded, and what the page asks about it.

    Attributes:
        past: Gives what was recorded; a test may put another in its place.
        entries: What a reading of the past finds.
        readings: What was asked of the past, in order.
    """

    entries: list[Entry] = field(factory=list)
    readings: list[Wanted] = field(factory=list)
    past: Past = field(default=Factory(lambda self: self.read, takes_self=True))
    traces: Traces = field(factory=Traces)

    def read(self, wanted: Wanted, limit: int | None) -> Iterator[Entry]:
        """Give what was recorded."""
        self.readings.append(wanted)
        found = [entry for entry in self.entries if wanted.covers(entry.event)]
        return reversed(found) if limit is None else iter(found[-limit:])

    def record(self, *events: HypervisorEvent, run: str = "") -> None:
        """Record events, which the feed tells, too."""
        for event in events:
            entry = Entry(run, len(self.entries), event)
            self.entries.append(entry)
            self.traces.take(entry, entry.sequence)

    def ask(self, path: str, **query: str) -> Page:
        """Ask as the page does."""
        return endpoints(self.traces, self.past)[path](Request(query=query))

    def trace(self, id: str, **query: str) -> Any:  # noqa: A002 - as the page calls it
        """Ask for a trace."""
        page = self.ask("/api/trace", id=id, **query)
        assert page.status == HTTPStatus.OK
        return json.loads(page.body)


def scenario() -> list[HypervisorEvent]:
    """What the agents of ``scenario.py`` do, as events."""
    with Observability(Config()) as observability:
        play(observability.recorder)
        return observability.bus.all_events


def traces_of(events: list[HypervisorEvent]) -> list[str]:
    """The keys of the traces of *events*, in order."""
    return list(dict.fromkeys(key for event in events if (key := trace_of(event)) is not None))


def event(
    event_type: str, trace: CausalTraceId | str, seconds: float = 0.0, **payload: Any
) -> HypervisorEvent:
    """An event of agent ``did:mesh:a``, so many seconds after the others began."""
    return HypervisorEvent(
        event_type=EventType.of(event_type),
        timestamp=_BEGUN + seconds,
        session_id="s",
        agent_did="did:mesh:a",
        causal_trace_id=trace if isinstance(trace, str) else trace.full_id,
        payload=payload,
    )


def rows(answer: Any) -> list[dict[str, Any]]:
    """The columns of an answer as rows, with texts instead of their numbers."""
    columns, texts = answer["columns"], answer["texts"]
    found: list[dict[str, Any]] = []
    for row in range(len(columns["depth"])):
        one = {name: texts[columns[name][row]] for name in ("kind", "title", "state", "word")}
        one |= {name: columns[name][row] for name in ("depth", "begun", "ended", "key", "events")}
        agent = columns["agent"][row]
        one["agent"] = None if agent < 0 else answer["agents"][agent]["did"]
        found.append(one)
    for name in ("ring", "details", "reason", "cost", "link"):
        for row, value in zip(columns[name]["at"], columns[name]["value"], strict=True):
            found[row][name] = texts[value]
    for name in ("telling", "tokens"):
        for row, value in zip(columns[name]["at"], columns[name]["value"], strict=True):
            found[row][name] = value
    return found
