"""The sections of the page about runs, tools, models, handoffs and refusals: cards, which a phone
shows below one another.
"""

from collections.abc import Callable, Iterator

from ..facts.usage import Usage, cost_texts
from ..text.durations import duration_text
from .activity import Activity
from .agents import Agents, AgentStory
from .calls import Stories, Story
from .drawing import shares, text_of
from .errors import Errors, ErrorStory
from .handoffs import Handoffs
from .refusals import Refusals
from .runs import NewestRuns, RunStory
from .spread import Spread
from .trees_page import Addresses

MOST_ROWS = 12
"""How many of a kind are shown: those with the most to tell."""
_ERROR_COLUMNS = 160


def activity_sections(activity: Activity, addresses: Addresses) -> Iterator[tuple[str, str]]:
    """Write the bodies of the sections, each with its title."""
    yield "Errors", _errors(activity.errors, addresses)
    yield "Agents", _agents(activity.agents, addresses)
    yield "Runs", _stories(activity.runs, "run", _times) + _newest(activity.newest, addresses)
    yield "Tools", _stories(activity.tools, "call", _times)
    yield "Models", _stories(activity.models, "call", _of_model) + _prices(activity)
    yield "Handoffs", _handoffs(activity.handoffs)
    yield "Refusals", _refusals(activity.refusals)


def more(count: int) -> str:
    """Tell how many there are beside those that are shown."""
    left_out = count - MOST_ROWS
    return f'<p class="note">and {left_out} more</p>' if left_out > 0 else ""


def _card(title: str, *paragraphs: str, picture: str = "") -> str:
    told = "".join(f"<p>{one}</p>" for one in paragraphs if one)
    return f'<div class="saga"><h3>{title}</h3>{picture}{told}</div>'


def _stories(stories: Stories, noun: str, tell: Callable[[Story], list[str]]) -> str:
    cards, busiest = [], stories.busiest()
    for name, story, ends in busiest[:MOST_ROWS]:
        title = f"<bdi>{text_of(name)}</bdi>: {_count(ends.total(), noun)}"
        last = f"last error: {text_of(story.last_error, _ERROR_COLUMNS)}"
        paragraphs = [*tell(story), last if story.last_error else ""]
        cards.append(_card(title, *paragraphs, picture=shares(ends) if ends else ""))
    return "".join(cards) + more(len(busiest))


def _times(story: Story) -> list[str]:
    return [_spread_text(story.seconds)]


def _of_model(story: Story) -> list[str]:
    first = _spread_text(story.first_token_seconds)
    return [
        *_times(story),
        f"first token: {first}" if first else "",
        ", ".join(_usage_texts(story.usage)),
    ]


def _spread_text(spread: Spread) -> str:
    if not spread.count:
        return ""
    median, slow = (duration_text(spread.quantile(share)) for share in (0.5, 0.95))
    return f"median {median}, 95th percentile {slow}"


def _usage_texts(usage: Usage) -> list[str]:
    read, written = usage.input_tokens, usage.output_tokens
    tokens = [f"{read:,} tokens read, {written:,} written"] if read or written else []
    costs = cost_texts(usage.cost, usage.estimated_cost)
    without = ["no price known"] if usage.without_price else []
    return [*tokens, *(text_of(cost, 30) for cost in costs), *without]


def _prices(activity: Activity) -> str:
    if activity.prices is None:
        return ""
    return f'<p class="note">~ estimated by {text_of(activity.prices.name)}</p>'


def _newest(newest: NewestRuns, addresses: Addresses) -> str:
    if not newest.by_trace:
        return ""
    cards = "".join(
        _run(run, addresses.link(trace)) for trace, run in reversed(newest.by_trace.items())
    )
    return f'<p class="note">The newest, each with all of its trace:</p>{cards}'


def _run(run: RunStory, link: str) -> str:
    outcome = run.outcome
    if run.ended_ns is not None:
        outcome += f", {duration_text((run.ended_ns - run.begun_ns) / 1e9)}"
    tools = _count(run.tools, "tool call")
    if run.unwell:
        tools += f" ({run.unwell} failed or refused)"
    facts = [
        tools if run.tools else "",
        _count(run.models, "model call") if run.models else "",
        _count(run.handoffs, "handoff") if run.handoffs else "",
        *_usage_texts(run.usage),
    ]
    return _card(f"<bdi>{text_of(run.name)}</bdi>: {outcome}", ", ".join(filter(None, facts)), link)


def _errors(errors: Errors, addresses: Addresses) -> str:
    found = errors.most_frequent()
    return (
        "".join(_error(text, one, addresses) for text, one in found[:MOST_ROWS])
        + more(len(found))
        + (f'<p class="note">and {errors.left_out} later ones</p>' if errors.left_out else "")
    )


def _error(text: str, error: ErrorStory, addresses: Addresses) -> str:
    traces = "trace" if error.count == 1 else "traces"
    return _card(
        f"<bdi>{text_of(error.arose)}</bdi>: in {error.traces} {traces}",
        f"<bdi>{text_of(text, _ERROR_COLUMNS)}</bdi>",
        addresses.link(error.trace),
    )


def _agents(agents: Agents, addresses: Addresses) -> str:
    found = agents.most_telling()
    return "".join(_agent(did, one, addresses) for did, one in found[:MOST_ROWS]) + more(len(found))


def _agent(did: str, agent: AgentStory, addresses: Addresses) -> str:
    name = f"{agent.name} ({did})" if agent.name and agent.name != did else did
    facts = [
        _count(agent.breaches, "breach", "breaches") if agent.breaches else "",
        f"refused {_count(agent.refused, 'time')}" if agent.refused else "",
        *_usage_texts(agent.usage),
    ]
    return _card(
        f"<bdi>{text_of(name)}</bdi>",
        ", ".join(filter(None, facts)),
        addresses.link(agent.bad_trace),
        picture=shares(agent.ends) if agent.ends else "",
    )


def _handoffs(handoffs: Handoffs) -> str:
    pairs = handoffs.pairs()
    return "".join(
        _card(f"<bdi>{text_of(giver)}</bdi> to <bdi>{text_of(taker)}</bdi>: {count}")
        for (giver, taker), count in pairs.most_common(MOST_ROWS)
    ) + more(len(pairs))


def _refusals(refusals: Refusals) -> str:
    found = sorted(refusals.by_tool.items(), key=lambda one: -one[1].total)
    return "".join(
        _card(
            f"<bdi>{text_of(tool)}</bdi>: "
            + ", ".join(
                f"{count} {how}"
                for how, count in (("denied", one.denied), ("blocked", one.blocked))
                if count
            ),
            f"last reason: {text_of(one.last_reason, _ERROR_COLUMNS)}" if one.last_reason else "",
        )
        for tool, one in found[:MOST_ROWS]
    ) + more(len(found))


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
