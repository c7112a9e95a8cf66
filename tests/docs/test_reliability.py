"""The tables of faults in the documentation, and the marks on the tests."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([A-Z]\d+) \|", re.MULTILINE)
MARK = re.compile(r"mark\.fault\(([^)]*)\)")


def test_every_row_has_a_test_and_every_mark_a_row() -> None:
    page = (REPOSITORY / "docs" / "explanation" / "reliability.md").read_text("utf-8")
    rows = set(ROW.findall(page.partition("## Core")[2]))
    marks = {
        mark
        for path in (REPOSITORY / "tests").rglob("*.py")
        for arguments in MARK.findall(path.read_text("utf-8"))
        for mark in re.findall(r'"([A-Z]\d+)"', arguments)
    }

    assert rows - marks == set(), "rows without a test"
    assert marks - rows == set(), "marks without a row"


def test_tables_have_the_figures_of_a_run() -> None:
    page = (REPOSITORY / "docs" / "explanation" / "reliability.md").read_text("utf-8")
    figures = page.partition("<!-- figures: begin -->")[2].partition("<!-- figures: end -->")[0]

    assert "| fault | measured | figure | goal | holds |" in figures
