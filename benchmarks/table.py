"""The outcomes as a table: for a terminal, as JSON, and in the documentation."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from attrs import asdict

from benchmarks.outcome import Outcome

_MARKS = "<!-- written by make {command}: begin -->", "<!-- written by make {command}: end -->"

_HEADINGS = ("case", "ours", "other", "ratio", "goal", "holds")


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Give the six cells of a row."""
    ours, other, goal = outcome.shown
    held = "" if outcome.held is None else "yes" if outcome.held else "NO"
    return (outcome.title, ours, other, _ratio(outcome.ratio), goal, held)


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def as_text(results: Sequence[Outcome]) -> str:
    """Write a table in columns, a heading a group."""
    rows = [_HEADINGS, *map(cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]

    def line(row: Sequence[str]) -> str:
        first, *rest = zip(row, widths, strict=True)
        return "  ".join(
            (first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest))
        ).rstrip()

    lines = [line(_HEADINGS)]
    for group, members in _grouped(results):
        lines += ["", group, *(line(cells(outcome)) for outcome in members)]
    return "\n".join(lines)


def as_markdown(results: Sequence[Outcome], facts: str) -> str:
    """Write a table a group, and what machine it was."""
    parts = [facts]
    for group, members in _grouped(results):
        others = sorted({outcome.other_name for outcome in members if outcome.other_name})
        other = others[0] if len(others) == 1 else "other"
        lines = [f"### {group}", "", _line(("", "ours", other, "ratio", "goal", "holds"))]
        lines.append("|---|--:|--:|--:|--:|---|")
        lines += [
            _line((*row[:5], f"**{row[5]}**" if row[5] == "NO" else row[5]))
            for row in map(cells, members)
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def as_json(results: Sequence[Outcome], facts: dict[str, str]) -> str:
    """Write everything for programs, times in seconds."""
    rows = [{**asdict(outcome), "shown": None} for outcome in results]
    for row in rows:
        del row["shown"]
    return json.dumps({"machine": facts, "rows": rows}, indent=2)


def replace_table(page: Path, markdown: str, command: str = "bench") -> None:
    """Write *markdown* between the two marks of *page* that name *command*.

    Raises:
        ValueError: The page has not exactly one of each.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = (mark.format(command=command) for mark in _MARKS)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page.name}: expected one {begin} and one {end}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n\n{markdown}\n\n{end}{after}", encoding="utf-8")


def _grouped(results: Iterable[Outcome]) -> list[tuple[str, list[Outcome]]]:
    return [(group, list(members)) for group, members in groupby(results, lambda one: one.group)]


def _line(row: Sequence[str]) -> str:
    return "|" + "".join(f" {text} |" if text else " |" for text in row)
