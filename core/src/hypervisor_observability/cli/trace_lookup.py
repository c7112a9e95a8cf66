"""Find the traces that an id names: of a trace, saga, session or event, whole or its beginning."""

from collections.abc import Iterable

import click
from attrs import define, field

from ..causality.traceparent import narrow_trace
from ..events.event import HypervisorEvent
from ..facts import saga_facts
from ..stores import trace_key

_MOST_FOUND = 1_000
_SHOWN = 10
_KINDS = ("trace", "saga", "session", "event")


@define(eq=False)
class Found:
    """What an id names.

    Attributes:
        kind: ``trace``, ``saga``, ``session`` or ``event``.
        name: Its whole id.
        traces: The keys of its traces, with the number of the event that was first in each; in
            the order in which they were met.
    """

    kind: str
    name: str
    traces: dict[str, int] = field(factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def find(events: Iterable[HypervisorEvent], text: str) -> Found | None:
    """Find what *text* names; None if it names nothing.

    A whole id goes before the beginning of another one, and the beginning of an event's id counts
    only if nothing else begins like that.

    Raises:
        UsageError: Several ids begin with *text*.
    """
    exact: dict[tuple[str, str], Found] = {}
    begun: dict[tuple[str, str], Found] = {}
    for event in events:
        causal = event.causal_trace_id
        if causal is None:
            continue
        trace = causal.partition("/")[0]
        key = trace_key(trace)
        for kind, name in (
            ("trace", narrow_trace(trace) or trace),
            ("saga", saga_facts.named_saga(event)),
            ("session", event.session_id),
            ("event", event.event_id),
        ):
            if name is None:
                continue
            if name == text or (kind == "trace" and key == text):
                table = exact
            elif name.startswith(text) or (kind == "trace" and key.startswith(text)):
                table = begun
            else:
                continue
            if (kind, name) in table or len(table) < _MOST_FOUND:
                found = table.setdefault((kind, name), Found(kind, name))
                if len(found.traces) < _MOST_FOUND:
                    found.traces.setdefault(key, len(found.traces))
    if exact:
        return min(exact.values(), key=lambda one: _KINDS.index(one.kind))
    likely = [one for one in begun.values() if one.kind != "event"] or list(begun.values())
    if len(likely) > 1:
        raise click.UsageError(_ambiguous(text, likely))
    return likely[0] if likely else None


def _ambiguous(text: str, likely: list[Found]) -> str:
    shown = "".join(f"\n  {one}" for one in likely[:_SHOWN])
    more = f"\n  and {len(likely) - _SHOWN} more" if len(likely) > _SHOWN else ""
    return f"{text!r} is the beginning of {len(likely)} ids:{shown}{more}"
