"""What came of a row: both figures, their ratio, and whether the goal holds."""

from collections.abc import Sequence
from statistics import median

from attrs import frozen

from benchmarks.goals import Case, Row, Unit
from benchmarks.rounds import Round


@frozen
class Outcome:
    """A line of the table with its figures.

    Attributes:
        group: Heading.
        title: What was done.
        other_name: What the other side is.
        ours: In seconds or bytes.
        other: Likewise; None where there is no other side.
        ratio: Median of the rounds' ratios: how many times ours the other side is, or, where
            the goal is a cost, how many times the other side ours is.
        shown: Both figures and the goal as text.
        held: Whether the goal holds; None where there is none.
    """

    group: str
    title: str
    other_name: str
    ours: float
    other: float | None
    ratio: float | None
    shown: tuple[str, str, str]
    held: bool | None


def outcomes(case: Case, rounds: list[Round]) -> list[Outcome]:
    """Give the rows of *case*."""
    return [
        outcome_of(
            row,
            [float(one.ours[row.measure]) for one in rounds],
            [float(one.other[row.measure]) for one in rounds if one.other],
            group=case.group,
            other_name=case.other_name,
        )
        for row in case.rows
    ]


def outcome_of(
    row: Row,
    figures: Sequence[float],
    others: Sequence[float] = (),
    *,
    group: str,
    other_name: str = "",
) -> Outcome:
    """Give what came of *row*: ours, and the other side's in the same rounds if there is one."""
    choose = min if row.smallest else median
    ours = choose(figures)
    other = choose(others) if others else None
    as_cost = row.goal is not None and row.goal.cost is not None
    ratio: float | None = None
    if others and all(figures) and all(others):
        pairs = zip(figures, others, strict=True)
        ratio = median(mine / theirs if as_cost else theirs / mine for mine, theirs in pairs)
    return Outcome(
        group=group,
        title=row.title,
        other_name=other_name,
        ours=ours,
        other=other,
        ratio=ratio,
        shown=(
            row.unit.show(ours),
            "" if other is None else row.unit.show(other),
            _goal_text(row),
        ),
        held=_held(row, ours, ratio),
    )


def _held(row: Row, ours: float, ratio: float | None) -> bool | None:
    goal = row.goal
    if goal is None:
        return None
    return all(
        (
            goal.times is None or (ratio is not None and ratio >= goal.times),
            goal.cost is None or (ratio is not None and ratio <= goal.cost),
            goal.limit is None or ours <= goal.limit,
            goal.below is None or ours < goal.below,
        )
    )


def _goal_text(row: Row) -> str:
    goal = row.goal
    if goal is None:
        return ""
    parts = []
    if goal.times is not None:
        parts.append(f"≥ {goal.times:g}")
    if goal.cost is not None:
        parts.append(f"≤ {goal.cost:g}")
    if goal.limit is not None and row.unit is Unit.PER_SECOND:
        parts.append(f"≥ {row.unit.show(goal.limit)}")  # at most so many seconds an item
    elif goal.limit is not None:
        parts.append(f"≤ {row.unit.show(goal.limit)}" if goal.limit else "≤ 0")
    if goal.below is not None:
        parts.append(f"< {row.unit.show(goal.below)}")
    return ", ".join(parts)
