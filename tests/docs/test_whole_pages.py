"""How-to pages and others that give files by name are run whole, as a reader would."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.docs.test_pages import RUN_WHOLE, name_of
from tests.markdown import blocks_of
from tests.programs import found_or_skip
from tests.sources.pages import BIN, run_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the pages are for a POSIX shell"),
]


SENT = {
    "opentelemetry.md": {"invoke_agent buyer", "invoke_agent clerk", "GET /orders", "SELECT orders"}
}
"""Which spans the receiver of a page gets."""


def find_servers(page: Path) -> None:
    """Skip, or in CI fail, where a server that *page* starts is not on this machine."""
    where = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    for block in blocks_of(page):
        if block.is_run and block.language == "console" and block.words and block.text[0] == "$":
            program = block.text.split()[1]
            found_or_skip(program, partial(shutil.which, program, path=where), "Install it.")


@pytest.mark.parametrize("page", RUN_WHOLE, ids=name_of)
def test_page_is_run_as_it_stands(page: Path, tmp_path: Path) -> None:
    find_servers(page)

    spans = run_page(page, tmp_path)

    assert {span.name for span in spans} == SENT.get(page.name, set())
    named = {span.span_id: span.name for span in spans}
    chain = {span.name: named.get(span.parent_span_id) for span in spans}
    if page.name == "opentelemetry.md":
        assert chain["SELECT orders"] == "invoke_agent clerk"
        assert chain["invoke_agent clerk"] == "GET /orders"


def test_tutorial_is_run_page_by_page_in_one_folder(tmp_path: Path) -> None:
    pages = sorted(page for page in RUN_WHOLE if page.parent.name == "tutorial")
    index = (pages[0].parent / "index.md").read_text("utf-8")
    pages.sort(key=lambda page: index.index(f"]({page.name})"))

    assert len(pages) == 6
    for page in pages:
        find_servers(page)
        run_page(page, tmp_path)
        shutil.rmtree(tmp_path / "journal", ignore_errors=True)  # its trace is the only one
