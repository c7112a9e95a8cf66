"""``hvobs tree``: who caused what, drawn from a file of events or from a store."""

import shutil
from collections.abc import Iterable, Iterator
from typing import IO

import click
from attrs import define, field

from .. import output
from ..causality.causal_trace import CausalTraceId
from ..events.event import HypervisorEvent
from ..facts.prices import Prices
from ..stores import Wanted, trace_key
from ..tree import TraceTree, build_tree, render_tree, tree_to_dict
from .config_option import find_file
from .event_lines import EventLines
from .history_option import Past, history_options
from .prices_option import prices_of, prices_option
from .trace_links import TraceLinks, links_of, no_links

_LINES = "├└│─…"
_COLUMNS_OF_A_PIPE = 100


@define(eq=False)
class RecordedEvents:
    """The events of a store, as a file of events is read.

    Attributes:
        past: The store.
        wanted: Which events.
        events: How many events were found so far.
        bad_lines: How many places could not be read.
        first_bad: None: each is told.
    """

    past: Past
    wanted: Wanted
    events: int = 0
    bad_lines: int = 0
    first_bad: tuple[int, str] | None = None

    def __iter__(self) -> Iterator[HypervisorEvent]:
        notices: list[str] = []
        with self.past.history(notices.append, bar="reading") as history:
            for entry in history.events(self.wanted):
                self.events += 1
                yield entry.event
        self.bad_lines = len(notices)
        for notice in notices:
            output.note(notice)


@define(eq=False)
class EventsByTrace:
    """Events by the trace that they belong to, in order of first appearance.

    Attributes:
        traces: Events by the wide form of the trace's id, with the id as it was first seen.
        without_id: How many events have no causal id.
        unreadable: How many have one that cannot be read.
    """

    traces: dict[str, tuple[str, list[HypervisorEvent]]] = field(factory=dict)
    without_id: int = 0
    unreadable: int = 0

    def add(self, events: Iterable[HypervisorEvent]) -> None:
        """Sort *events* in."""
        trace_of: dict[str, str | None] = {}
        for event in events:
            text = event.causal_trace_id
            if text is None:
                self.without_id += 1
                continue
            if text not in trace_of:
                trace_of[text] = _trace_id(text)
            trace_id = trace_of[text]
            if trace_id is None:
                self.unreadable += 1
            else:
                _, found = self.traces.setdefault(trace_key(trace_id), (trace_id, []))
                found.append(event)

    def trees(self, wanted: str | None = None) -> Iterator[TraceTree]:
        """Build the tree of each trace, or of the one that is *wanted*."""
        if wanted is not None:
            wanted = wanted.partition("/")[0]
            key = trace_key(wanted)
            if key in self.traces:
                yield build_tree(self.traces[key][1], wanted)
            return
        for trace_id, events in self.traces.values():
            yield build_tree(events, trace_id)


def _trace_id(text: str) -> str | None:
    causal = CausalTraceId.or_none(text)
    return None if causal is None else causal.trace_id


@history_options
@click.command(short_help="Draw who caused what, from recorded events.")
@click.argument("events", type=click.File("rb"), required=False)
@click.option("--trace", "trace_id", metavar="ID", help="Only this trace; any id of it will do.")
@click.option("--width", type=click.IntRange(min=40), help="Columns; else those of the terminal.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")
@click.option(
    "--links", "with_links", is_flag=True, help="Tell where the configuration's backends show it."
)
@prices_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def tree(
    past: Past,
    events: IO[bytes] | None,
    trace_id: str | None,
    width: int | None,
    ascii_only: bool,  # noqa: FBT001 - click's flag
    with_links: bool,  # noqa: FBT001 - click's flag
    estimates: bool,  # noqa: FBT001 - click's flag
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Draw the causal tree of each trace in the file EVENTS (- for stdin), or in a store, such as
    a journal.

    EVENTS holds one event a line, as JSON of what HypervisorEvent.to_dict() gives. Lines that
    are no events are counted and skipped; exit code 1 if nothing else was there. What cannot be
    read of a store is told on stderr; exit code 1 then.
    """
    lines: EventLines | RecordedEvents
    if events is not None and past.directory is not None:
        raise click.UsageError("name a file of events or a journal, not both")
    if events is None and past.directory is None and find_file(past.config_file) is None:
        text = "name a file of events, or a journal with --journal, or a store in a configuration"
        raise click.UsageError(text)
    links = links_of(past.config_file) if with_links else no_links
    prices = prices_of(past.config_file, estimates=estimates)
    if events is not None:
        lines = EventLines(events)
    else:
        wanted = Wanted(trace=None if trace_id is None else trace_key(trace_id))
        lines = RecordedEvents(past, wanted)
    by_trace = EventsByTrace()
    by_trace.add(lines)
    trees = by_trace.trees(trace_id)
    if as_json:
        shown = [{**tree_to_dict(one, prices=prices), **_linked(one, links)} for one in trees]
        output.tell_json(
            {
                "traces": shown,
                "events": lines.events,
                "bad_lines": lines.bad_lines,
                "without_causal_id": by_trace.without_id,
                "unreadable_causal_id": by_trace.unreadable,
            }
        )
        count = len(shown)
    else:
        count = _draw_all(trees, width, links, prices, ascii_only=ascii_only)
    if events is not None or trace_id is None or count:
        _tell_what_is_missing(lines, by_trace, drawn=count)
    if trace_id is not None and not count:
        raise click.ClickException(f"no events of the trace {trace_id}")
    if lines.bad_lines and (events is None or not lines.events):
        raise click.exceptions.Exit(1)


def _linked(tree: TraceTree, links: TraceLinks) -> dict[str, object]:
    found = links(trace_key(tree.trace_id))
    return {"links": dict(found)} if found else {}


def draw(
    tree: TraceTree,
    width: int | None = None,
    *,
    ascii_only: bool = False,
    prices: Prices | None = None,
) -> str:
    """Draw *tree* as stdout can show it: as wide as the terminal unless *width* is given."""
    if width is None:
        width = shutil.get_terminal_size((_COLUMNS_OF_A_PIPE, 24)).columns
    ascii_only = ascii_only or not output.can_show(_LINES)
    color = output.coloured()
    return render_tree(tree, width=width, color=color, ascii=ascii_only, prices=prices)


def _draw_all(
    trees: Iterable[TraceTree],
    width: int | None,
    links: TraceLinks,
    prices: Prices | None,
    *,
    ascii_only: bool,
) -> int:
    count = 0
    for one in trees:
        text = draw(one, width, ascii_only=ascii_only, prices=prices)
        output.tell(text if not count else f"\n{text}")
        for name, url in links(trace_key(one.trace_id)).items():
            output.tell(f"{output.one_line(name)}: {url}")
        count += 1
    return count


def _tell_what_is_missing(
    lines: "EventLines | RecordedEvents", by_trace: EventsByTrace, *, drawn: int
) -> None:
    if lines.first_bad is not None:
        number, why = lines.first_bad
        output.note(f"skipped: {_count(lines.bad_lines, 'line')} (line {number}: {why})")
    # Sessions have none where nothing caused them: worth a word only if that is all.
    if by_trace.without_id and not drawn:
        output.note(f"left out: {_count(by_trace.without_id, 'event')} without a causal id")
    if by_trace.unreadable:
        events = _count(by_trace.unreadable, "event")
        output.note(f"left out: {events} with a causal id that cannot be read")
    if not lines.events and not lines.bad_lines:
        output.note("no events")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
