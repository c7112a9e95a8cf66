"""The sections of the page about runs, tools, models, handoffs and refusals: cards, which a phone
shows below one another.
"""

from collections.abc import Callable, Iterator

from ..facts.usage import cost_texts
from ..text.durations import duration_text
from .activity import Activity
from .calls import Spending, Stories, Story
from .drawing import shares, text_of
from .handoffs import Handoffs
from .refusals import Refusals
from .runs import NewestRuns, RunStory
from .spread import Spread

MOST_ROWS = 12
"""How many of a kind are shown: those with the most to tell."""
_ERROR_COLUMNS = 160


def activity_sections(activity: Activity) -> Iterator[tuple[str, str]]:
    """Write the bodies of the sections, each with its title."""
    yield "Runs", _stories(activity.runs, "run", _times) + _newest(activity.newest)
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
        ", ".join(_spending_texts(story.spending)),
    ]


def _spread_text(spread: Spread) -> str:
    if not spread.count:
        return ""
    median, slow = (duration_text(spread.quantile(share)) for share in (0.5, 0.95))
    return f"median {median}, 95th percentile {slow}"


def _spending_texts(spending: Spending) -> list[str]:
    read, written = spending.input_tokens, spending.output_tokens
    tokens = [f"{read:,} tokens read, {written:,} written"] if read or written else []
    costs = cost_texts(spending.cost, spending.estimated_cost)
    without = ["no price known"] if spending.is_without_price else []
    return [*tokens, *(text_of(cost, 30) for cost in costs), *without]


def _prices(activity: Activity) -> str:
    if activity.prices is None:
        return ""
    return f'<p class="note">~ estimated by {text_of(activity.prices.name)}</p>'


def _newest(newest: NewestRuns) -> str:
    if not newest.by_trace:
        return ""
    cards = "".join(map(_run, reversed(newest.by_trace.values())))
    return f'<p class="note">The newest, each with all of its trace:</p>{cards}'


def _run(run: RunStory) -> str:
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
        *_spending_texts(run.spending),
    ]
    return _card(f"<bdi>{text_of(run.name)}</bdi>: {outcome}", ", ".join(filter(None, facts)))


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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
