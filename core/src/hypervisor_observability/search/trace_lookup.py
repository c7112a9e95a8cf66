"""Find the traces that an id names: of a trace, saga, session or event, whole or its beginning."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from attrs import define, field

from ..causality.traceparent import narrow_trace
from ..errors import AmbiguousIdError
from ..events.event import HypervisorEvent
from ..facts import saga_facts
from ..stores import trace_key

_WHOLE_TRACE = re.compile(r"[0-9a-f]{12}|[0-9a-f]{32}|[A-Za-z0-9_-]{1,64}/.*").fullmatch
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


def find_traces(
    each: Callable[[str | None], Iterator[HypervisorEvent]], text: str
) -> Collection[str]:
    """Give the keys of the traces that *text* names, in the order in which they began.

    Args:
        each: Gives all events, or those of the trace with a key; it may be called twice.
        text: An id of a trace, saga, session or event, or the beginning of one.

    Raises:
        AmbiguousIdError: Several ids begin with *text*.
    """
    if _WHOLE_TRACE(text):
        # By the store's index, without reading anything else.
        key = trace_key(text)
        if next(each(key), None) is not None:
            return [key]
    found = find(each(None), text)
    return [] if found is None else list(found.traces)


def find(events: Iterable[HypervisorEvent], text: str) -> Found | None:
    """Find what *text* names; None if it names nothing.

    A whole id goes before the beginning of another one, and the beginning of an event's id counts
    only if nothing else begins like that.

    Raises:
        AmbiguousIdError: Several ids begin with *text*.
    """
    exact: dict[tuple[str, str], Found] = {}
    begun: dict[tuple[str, str], Found] = {}
    events_begun: dict[tuple[str, str], Found] = {}  # apart, so that they leave others their room
    for event in events:
        if event.causal_trace_id is None:
            continue
        key = trace_key(event.causal_trace_id)
        for kind, name, same, begins in _ids_of(event, key, text):
            if same or begins:
                table = exact if same else events_begun if kind == "event" else begun
                _note(table, kind, name, key)
    if exact:
        return min(exact.values(), key=lambda one: _KINDS.index(one.kind))
    likely = list((begun or events_begun).values())
    if len(likely) > 1:
        raise AmbiguousIdError(_ambiguous(text, likely))
    return likely[0] if likely else None


def _ids_of(event: HypervisorEvent, key: str, text: str) -> Iterator[tuple[str, str, bool, bool]]:
    """Give kind and name of each id of *event*, whether it is *text*, and whether it begins so."""
    trace = (event.causal_trace_id or "").partition("/")[0]
    short = narrow_trace(trace) or trace
    yield "trace", short, text in {short, key}, short.startswith(text) or key.startswith(text)
    for kind, name in (
        ("saga", saga_facts.named_saga(event)),
        ("session", event.session_id),
        ("event", event.event_id),
    ):
        if name is not None:
            yield kind, name, name == text, name.startswith(text)


def _note(table: dict[tuple[str, str], Found], kind: str, name: str, key: str) -> None:
    if (kind, name) in table or len(table) < _MOST_FOUND:
        found = table.setdefault((kind, name), Found(kind, name))
        if len(found.traces) < _MOST_FOUND:
            found.traces.setdefault(key, len(found.traces))


def _ambiguous(text: str, likely: list[Found]) -> str:
    shown = "".join(f"\n  {one}" for one in likely[:_SHOWN])
    more = f"\n  and {len(likely) - _SHOWN:,} more" if len(likely) > _SHOWN else ""
    least = "at least " if len(likely) == _MOST_FOUND else ""  # no more were noted
    return f"{text!r} is the beginning of {least}{len(likely):,} ids:{shown}{more}"
