"""A trace that is asked for by an id: its events, its tree, what it comes to."""

import re
from collections.abc import Iterator, Sequence

from attrs import frozen

from hypervisor_observability.causality.trace_tree import TraceTree, build_tree
from hypervisor_observability.errors import AmbiguousIdError
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.facts.leaves import Leaves
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.search.trace_lookup import find_traces
from hypervisor_observability.stores import Wanted, trace_of
from hypervisor_observability.tree.outline import outline
from hypervisor_observability.tree.summary import TraceSummary
from hypervisor_observability.tree.work import Work

from .answer import CannotAnswerError
from .reading import AGAIN, Reading, short_trace

MOST_EVENTS = 50_000
"""Most events of a trace that are read: its first ones."""

_MOST_OF_SESSION = 10_000
_SAFE_ID = re.compile(r"[0-9a-f]{12}|[0-9a-f]{32}").fullmatch


@frozen
class ChosenTrace:
    """A trace.

    Attributes:
        key: Names it.
        events: What happened in it, by time.
        tree: Who caused what.
        roots: Its work.
        summary: What it comes to.
        notes: What is to be said of it, in our words.
    """

    key: str
    events: Sequence[HypervisorEvent]
    tree: TraceTree
    roots: list[Work]
    summary: TraceSummary
    notes: list[str]

    @property
    def spoken_id(self) -> str:
        """Its id, as our own words may have it: no agent can have chosen what it says."""
        short = short_trace(self.key)
        return short if _SAFE_ID(short) else "ID"


def open_trace(reading: Reading, text: str, prices: Prices | None = None) -> ChosenTrace:
    """Find the trace that *text* names; the newest, if it names several.

    Raises:
        CannotAnswerError: It names none, or is the beginning of several ids.
    """
    lookup = reading.anew()

    def each(trace: str | None) -> Iterator[HypervisorEvent]:
        wanted = Wanted(trace=trace)
        found = lookup.events(wanted, newest_first=trace is None)
        return (entry.event for entry in found)

    text = text.strip()
    if not text:
        raise CannotAnswerError("Give the id of a trace; list_traces lists them.")
    try:
        keys = _of_session(reading, text) or list(find_traces(each, text))
    except AmbiguousIdError as error:
        head, *likely = str(error).split("\n")
        del head  # it repeats what was asked for
        raise CannotAnswerError(
            "Several ids begin like that. Give a longer beginning, or a whole id.", likely
        ) from error
    if not keys:
        where = lookup.notes() or [f"{lookup.read:,} events were compared."]
        raise CannotAnswerError(
            f"No trace, saga, session or event has an id that begins like that. {where[0]}"
            " list_traces lists the traces."
        )
    # Read backwards: the first one that was met is the newest.
    trace = read_trace(reading, keys[0], prices)
    if len(keys) > 1:
        trace.notes.append(
            f"That id names {len(keys):,} traces or more: this is the newest."
            " search_events with --session finds the events of all of them, if it is a session."
        )
    return trace


def _of_session(reading: Reading, text: str) -> list[str]:
    """Give the keys of the traces of a session, the newest first: by the store's index."""
    wanted = Wanted(session_id=text)
    found = reading.anew(_MOST_OF_SESSION).events(wanted, newest_first=True)
    keys = (trace_of(entry.event) for entry in found)
    return list(dict.fromkeys(key for key in keys if key is not None))


def read_trace(reading: Reading, key: str, prices: Prices | None = None) -> ChosenTrace:
    """Read the trace with a key."""
    bounded = reading.anew(MOST_EVENTS)
    events = [entry.event for entry in bounded.events(Wanted(trace=key))]
    notes = []
    if bounded.goes_on and not events:
        raise CannotAnswerError(f"Reading stopped after {bounded.stopped}. {AGAIN}")
    if bounded.stopped:
        notes.append(
            f"The trace is not told whole: reading stopped after {bounded.stopped}."
            " search_events with --trace finds later events."
        )
    if not events:
        raise CannotAnswerError("The trace has gone meanwhile. list_traces lists what is there.")
    tree = build_tree(events, key)
    summary, leaves = TraceSummary.begin(events[0]), Leaves()
    for event in events:
        summary.take(event, leaves, prices)
    return ChosenTrace(key, events, tree, outline(tree, prices), summary, notes)
