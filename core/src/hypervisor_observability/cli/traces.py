"""``hvobs traces``: the traces that were recorded, a line each."""

from collections.abc import Callable, Collection
from typing import IO

import click

from .. import output
from ..events.timestamps import as_datetime
from ..facts.prices import Prices
from ..facts.usage import cost_texts
from ..search.choice import Choice
from ..search.filter_options import OPTIONS
from ..search.one_line import short_trace
from ..stores import trace_of
from ..text.durations import duration_text
from ..tree.summaries import Best, Summaries
from ..tree.summary import TraceSummary
from .event_options import choosing
from .history_option import Past, history_options
from .no_match import explain
from .prices_option import prices_of, prices_option
from .recorded import Recorded, counted, open_file, recorded

_HEADER = (
    *("TRACE", "BEGUN", "ROOT", "AGENTS", "OUTCOME"),
    *("BREACHES", "REFUSALS", "DURATION", "TOKENS", "COST"),
)

# The rest makes no difference to a whole trace, or has a word of its own here.
_CHOOSING = frozenset({"--agent", "--session", "--since", "--text"})


@history_options
@click.command(
    short_help="List traces: how each ended, what it used.",
    epilog=output.examples(
        "hvobs traces",
        "hvobs traces --failed --since 1d",
        "hvobs traces --agent builder --limit 5 --json",
    ),
)
@click.argument("events", required=False)
@click.option("--failed", is_flag=True, help="Only those in which something failed.")
@choosing(*(one for one in OPTIONS if one.name in _CHOOSING))
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Only the newest so many.",
)
@prices_option
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each.")
def traces(
    past: Past,
    events: str | None,
    failed: bool,  # noqa: FBT001 - click's flag
    choice: Choice,
    limit: int,
    estimates: bool,  # noqa: FBT001 - click's flag
    as_json: bool,  # noqa: FBT001 - click's flag
) -> None:
    """List the traces of a store, such as a journal, or of the file EVENTS (- for stdin), the
    newest first.

    A trace has failed if a run, an agent, a saga, a step, a fan-out or a compensation in it failed,
    if a saga escalated or had to be undone, or if an agent was killed. A step that a later attempt
    made good does not count. Refusals and breaches have columns of their own and are not failures.

    --agent, --session, --since and --text choose the traces in which there is such an event. The
    numbers are always those of the whole trace. 'hvobs tree ID' draws one.
    """
    source = recorded(past, _file_of(events))
    prices = prices_of(past.config_file, estimates=estimates)
    newest = sum_up(source, limit, choice, failed=failed, prices=prices)
    shown = list(newest)
    if as_json:
        for one in shown:
            output.tell_json_line(one.to_dict(prices=prices))
    elif shown:
        rows = [_HEADER, *(_row(one, prices) for one in shown)]
        output.tell(output.table(rows, colour=output.coloured()))
    source.tell_bad()
    if len(shown) < newest.count:
        total = counted(newest.count, "trace")
        output.note(f"the newest {len(shown)} of {total}: --limit {newest.count} lists all")
    if not newest.count:
        _tell_why(source, choice, failed=failed)
    if source.bad_lines and (not source.is_file or not source.events):
        raise click.exceptions.Exit(1)


def sum_up(
    source: Recorded,
    most: int,
    choice: Choice | None = None,
    *,
    within: Collection[str] | None = None,
    failed: bool = False,
    prices: Prices | None = None,
    each: Callable[[TraceSummary], object] | None = None,
) -> Best:
    """Read all traces; give the newest of those wanted.

    Args:
        source: What to read.
        most: How many to give.
        choice: Only those in which there is such an event; None: all.
        within: Only those with these keys; None: all.
        failed: Only those in which something failed.
        prices: To estimate costs that were not reported; None: they are not estimated.
        each: Takes every one that is wanted, too.
    """
    covered: set[int] = set()

    def is_wanted(summary: TraceSummary) -> bool:
        wanted = choice is None or id(summary) in covered
        covered.discard(id(summary))
        if wanted and (summary.failed or not failed):
            if each is not None:
                each(summary)
            return True
        return False

    newest = Best(most, is_wanted)
    summaries = Summaries(newest.offer, prices)
    for event in source.each():
        if within is not None and trace_of(event) not in within:
            continue
        summary = summaries.take(event)
        if choice is not None and choice.covers(event) and summary is not None:
            covered.add(id(summary))
    summaries.close()
    if summaries.unreadable:
        text = f"left out: {counted(summaries.unreadable, 'event')}"
        output.note(f"{text} with a causal id that cannot be read")
    return newest


def _file_of(text: str | None) -> IO[bytes] | None:
    if text is None:
        return None
    file = open_file(text)
    if file is None:
        raise click.UsageError(f"{text}: no such file ('hvobs tree {text}' takes an id)")
    return file


def _row(one: TraceSummary, prices: Prices | None) -> tuple[str, ...]:
    usage = one.usage
    costs = cost_texts(usage.cost, usage.estimated_cost if prices is not None else {})
    return (
        short_trace(one.trace_id) or "-",
        f"{as_datetime(one.begun_ns):%Y-%m-%d %H:%M:%S}Z",
        one.root or "-",
        ", ".join(one.agent_names) or "-",
        outcome_text(one),
        str(one.breaches),
        str(one.refusals),
        duration_text(one.duration_seconds),
        f"{usage.tokens:,}" if usage.tokens else "-",
        ", ".join(costs) or "-",
    )


def outcome_text(one: TraceSummary) -> str:
    """Write how a trace ended, for people."""
    if one.failed:
        return "FAILED, running" if one.running else "FAILED"
    return one.outcome or "-"


def _tell_why(source: Recorded, choice: Choice, *, failed: bool) -> None:
    if not choice.is_everything:
        reasons = explain(choice, source.each())
    elif failed:
        reasons = ["no trace failed"] if source.events else ["no events"]
    else:
        reasons = ["no event has a causal id"] if source.events else ["no events"]
    for reason in reasons:
        output.note(reason)
