"""``list_traces``: the newest traces, how each ended, what it used."""

from typing import Any, Literal

from hypervisor_observability.bus.event_memory import rough_bytes
from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.facts.usage import Usage, cost_texts
from hypervisor_observability.search.choice import Choice
from hypervisor_observability.search.moments import read_moment
from hypervisor_observability.stores import Wanted
from hypervisor_observability.text.durations import duration_text
from hypervisor_observability.tree.summaries import Best, Summaries
from hypervisor_observability.tree.summary import TraceSummary

from .answer import Answer, CannotAnswerError, Item
from .reading import Reading, moment
from .shortening import counted, cut, line, shortened

MOST_TRACES = 100
"""Most traces of one answer."""
MOST_WINDOW = 50_000
"""So many of the newest events are read for a list of traces."""
_MOST_WINDOW_BYTES = 64 * 1024 * 1024
_MOST_AGENTS = 20
_MOST_REASON = 300

State = Literal["any", "failed", "running", "ok"]


def list_traces(
    reading: Reading,
    *,
    state: State = "any",
    agent: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    prices: Prices | None = None,
) -> Answer:
    """List the newest traces.

    Raises:
        CannotAnswerError: *since* or *until* is not a time.
    """
    limit = max(1, min(limit, MOST_TRACES))
    choice = None
    since_ns, until_ns = read_time("since", since), read_time("until", until)
    if agent is not None or since_ns is not None:
        names = reading.names()
        choice = Choice(wanted=Wanted(since_ns=since_ns), agent=agent, names=names)
    newest = newest_traces(
        reading, state=state, choice=choice, until_ns=until_ns, limit=limit, prices=prices
    )
    found = list(newest)
    answer = Answer()
    which = "" if state == "any" else f"{state} "
    if not found:
        answer.notes.append(f"There is no {which}trace{_whose(agent, since)}.")
        answer.notes.append(
            "list_traces without arguments lists all; search_events finds events in no trace."
        )
    elif newest.count > len(found):
        answer.notes.append(f"The newest {len(found):,} of {newest.count:,} {which}traces.")
    else:
        answer.notes.append(f"{counted(len(found), f'{which}trace')}, newest first.")
    answer.notes += reading.notes(
        "Traces that began earlier may be missing, or told in part: get_tree tells them whole.",
        further="use until =",
    )
    if found:
        answer.notes.append(
            "get_tree draws a trace, why_failed says why one failed: give them its id."
        )
    total = Usage()
    for summary in found:
        total.add(summary.usage)
    if len(found) > 1 and (values := usage_values(total)):
        text = f"{len(found):,} traces | {' | '.join(_usage_words(total))}"
        answer.add("sum", [Item(text, {"traces": len(found), **values})], heading="sum of these")
    answer.add("traces", map(trace_item, found), "Ask with a smaller limit, or a state.")
    return answer


def newest_traces(
    reading: Reading,
    *,
    state: State,
    choice: Choice | None = None,
    until_ns: int | None = None,
    limit: int,
    prices: Prices | None = None,
) -> Best:
    """Sum up the traces of the newest events; give the newest of those in a *state*, in which is
    an event of the *choice*.
    """
    window = _window(reading, Wanted(until_ns=until_ns))
    covered: set[int] = set()

    def is_wanted(summary: TraceSummary) -> bool:
        chosen = choice is None or id(summary) in covered
        covered.discard(id(summary))
        return chosen and state_of(summary, state)

    best = Best(limit, is_wanted)
    summaries = Summaries(best.offer, prices)
    while window:  # backwards, that is: by time
        event = window.pop()
        summary = summaries.take(event)
        if choice is not None and summary is not None and choice.covers(event):
            covered.add(id(summary))
    summaries.close()
    return best


def _window(reading: Reading, wanted: Wanted) -> list[HypervisorEvent]:
    """Read the newest events, newest first, as far as they may be held in memory."""
    window: list[HypervisorEvent] = []
    held = 0
    for entry in reading.events(wanted, newest_first=True):
        held += rough_bytes(entry.event)
        if len(window) >= MOST_WINDOW or held > _MOST_WINDOW_BYTES:
            reading.stopped = f"the newest {counted(len(window), 'event')}"
            break
        window.append(entry.event)
    return window


def state_of(summary: TraceSummary, state: State) -> bool:
    """Tell whether a trace is in a *state*."""
    if state == "any":
        return True
    if state == "failed":
        return summary.failed
    if state == "running":
        return summary.running
    return not summary.failed and not summary.running


def read_time(name: str, text: str | None) -> int | None:
    """Read the argument *name*, a time; None if there is none.

    Raises:
        CannotAnswerError: It cannot be read.
    """
    if text is None or not text.strip():
        return None
    try:
        return read_moment(text.strip())
    except ValueError as error:
        raise CannotAnswerError(f"{name}: {error}") from error


def outcome(summary: TraceSummary) -> str:
    """Say how a trace stands."""
    if summary.failed and summary.running:
        return "failed, and work in it is still running"
    return summary.outcome or "no work recorded"


def trace_item(summary: TraceSummary) -> Item:
    """Tell of a trace."""
    usage = summary.usage
    agents = [cut(name, 120) for name in summary.agent_names[:_MOST_AGENTS]]
    data = {
        "trace": summary.trace_id,
        "begun": moment(summary.begun_ns),
        "root": cut(summary.root, _MOST_REASON) or None,
        "outcome": outcome(summary),
        "failed": summary.failed,
        "running": summary.running,
        "reason": cut(summary.reason, _MOST_REASON) or None,
        "agents": agents,
        "more_agents": max(0, len(summary.agents) - _MOST_AGENTS) or None,
        "breaches": summary.breaches or None,
        "refusals": summary.refusals or None,
        "duration_seconds": summary.duration_seconds,
        "events": summary.events,
        **usage_values(usage),
    }
    data = {key: value for key, value in data.items() if value is not None}
    words = [
        line(summary.trace_id),
        data["begun"],
        outcome(summary).upper() if summary.failed else outcome(summary),
        line(summary.root or "(no root recorded)"),
        f"agents: {line(', '.join(agents))}" if agents else "",
        counted(summary.breaches, "breach") if summary.breaches else "",
        counted(summary.refusals, "refusal") if summary.refusals else "",
        duration_text(summary.duration_seconds),
        *_usage_words(usage),
    ]
    text = " | ".join(str(word) for word in words if word)
    if summary.reason:
        text += f"\n    reason: {line(summary.reason, _MOST_REASON)}"
    return Item(text, shortened(data, 2_000))


def usage_values(usage: Usage) -> dict[str, Any]:
    """Tell what was used, as values of JSON: only what there is."""
    values = {
        "tokens": usage.tokens,
        "cost": dict(usage.cost),
        "estimated_cost": dict(usage.estimated_cost),
    }
    return {key: value for key, value in values.items() if value}


def _usage_words(usage: Usage) -> list[str]:
    return [
        *[counted(usage.tokens, "token")] * bool(usage.tokens),
        *map(line, cost_texts(usage.cost, usage.estimated_cost)),
    ]


def _whose(agent: str | None, since: str | None) -> str:
    # What was asked for; nothing that was recorded.
    return f"{' of that agent' * (agent is not None)}{' since then' * (since is not None)}"
