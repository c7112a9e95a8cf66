"""``hvobs tree``: who caused what, drawn from a file of events or from a store."""

import shutil
from collections.abc import Collection, Iterable, Iterator

import click
from attrs import define, field

from .. import output
from ..causality.causal_trace import CausalTraceId
from ..events.event import HypervisorEvent
from ..facts.prices import Prices
from ..stores import trace_key
from ..tree import TraceTree, build_tree, render_tree, tree_to_dict
from .history_option import Past, history_options
from .prices_option import prices_of, prices_option
from .recorded import Recorded, counted, open_file, recorded
from .trace_choice import choose
from .trace_links import TraceLinks, links_of, no_links

_LINES = "├└│─…"
_COLUMNS_OF_A_PIPE = 100


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

    def trees(self, keys: Collection[str] | None = None) -> Iterator[TraceTree]:
        """Build the tree of each trace, or of those with these *keys*."""
        for key, (trace_id, events) in self.traces.items():
            if keys is None or key in keys:
                yield build_tree(events, trace_id)


def _trace_id(text: str) -> str | None:
    causal = CausalTraceId.or_none(text)
    return None if causal is None else causal.trace_id


@history_options
@click.command(
    short_help="Draw who caused what, from recorded events.",
    epilog=output.examples(
        "hvobs tree",
        "hvobs tree --failed",
        "hvobs tree da557855c5a8",
        "hvobs tree events.jsonl --width 78",
    ),
)
@click.argument("what", required=False, metavar="[ID | EVENTS]")
@click.option("--trace", "trace_id", metavar="ID", help="Only what this id names, as ID.")
@click.option("--failed", is_flag=True, help="The newest trace in which something failed.")
@click.option("--all", "every", is_flag=True, help="All of them, not only the newest.")
@click.option("--width", type=click.IntRange(min=40), help="Columns; else those of the terminal.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")
@click.option(
    "--links", "with_links", is_flag=True, help="Show where the configuration's backends have it."
)
@prices_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def tree(
    past: Past,
    what: str | None,
    trace_id: str | None,
    failed: bool,  # noqa: FBT001 - click's flag
    every: bool,  # noqa: FBT001 - click's flag
    width: int | None,
    ascii_only: bool,  # noqa: FBT001 - click's flag
    with_links: bool,  # noqa: FBT001 - click's flag
    estimates: bool,  # noqa: FBT001 - click's flag
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """Draw the causal tree of the newest trace in a store, such as a journal, or of what ID names.

    ID is a trace, a causal id, the 32 digits that a backend shows, a saga, a session or an event;
    the beginning of one will do. 'hvobs traces' lists the traces, and says when one has failed.

    With EVENTS (- for stdin) every trace in that file is drawn. It holds one event a line, as JSON
    of what HypervisorEvent.to_dict() gives. Lines that are not events are counted and skipped;
    exit code 1 if there was nothing else. Standard error names what cannot be read of a store;
    exit code 1 then.
    """
    file = None if what is None else open_file(what)
    if what is not None and file is None:
        if trace_id is not None:
            raise click.UsageError(f"{what}: no such file")
        trace_id = what
    source = recorded(past, file)
    links = links_of(past.config_file) if with_links else no_links
    prices = prices_of(past.config_file, estimates=estimates)
    every = every or (source.is_file and trace_id is None and not failed)
    chosen = choose(source, trace_id, failed=failed, every=every)
    by_trace = EventsByTrace()
    by_trace.add(source.each(chosen.only))
    trees = by_trace.trees(chosen.keys)
    if as_json:
        shown = [{**tree_to_dict(one, prices=prices), **_linked(one, links)} for one in trees]
        output.tell_json(
            {
                "traces": shown,
                "events": source.events,
                "bad_lines": source.bad_lines,
                "without_causal_id": by_trace.without_id,
                "unreadable_causal_id": by_trace.unreadable,
            }
        )
        count = len(shown)
    else:
        count = _draw_all(trees, width, links, prices, ascii_only=ascii_only)
    for note in chosen.notes:
        output.note(note)
    if source.is_file or trace_id is None or count:
        _tell_what_is_missing(source, by_trace, drawn=count)
    if trace_id is not None and not count:
        raise click.ClickException(_nothing_called(trace_id, may_be_file=file is None))
    if source.bad_lines and (not source.is_file or not source.events):
        raise click.exceptions.Exit(1)


def _nothing_called(text: str, *, may_be_file: bool) -> str:
    file = ", and there is no such file" if may_be_file else ""
    return f"no trace, saga, session or event has an id that begins with {text!r}{file}"


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


def _tell_what_is_missing(source: Recorded, by_trace: EventsByTrace, *, drawn: int) -> None:
    source.tell_bad()
    # Sessions have none where nothing caused them: worth a word only if that is all.
    if by_trace.without_id and not drawn:
        output.note(f"left out: {counted(by_trace.without_id, 'event')} without a causal id")
    if by_trace.unreadable:
        events = counted(by_trace.unreadable, "event")
        output.note(f"left out: {events} with a causal id that cannot be read")
    if not source.events and not source.bad_lines:
        output.note("no events")
