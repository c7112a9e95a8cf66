"""How-to pages and others that give files by name are run whole, as a reader would."""

import sys
from pathlib import Path

import pytest

from tests.docs.test_pages import RUN_WHOLE, name_of
from tests.sources.pages import run_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the pages are for a POSIX shell"),
]


SENT = {
    "opentelemetry.md": {"invoke_agent buyer", "invoke_agent clerk", "GET /orders", "SELECT orders"}
}
"""Which spans the receiver of a page gets."""


@pytest.mark.parametrize("page", RUN_WHOLE, ids=name_of)
def test_page_is_run_as_it_stands(page: Path, tmp_path: Path) -> None:
    spans = run_page(page, tmp_path)

    assert {span.name for span in spans} == SENT.get(page.name, set())
    named = {span.span_id: span.name for span in spans}
    chain = {span.name: named.get(span.parent_span_id) for span in spans}
    if page.name == "opentelemetry.md":
        assert chain["SELECT orders"] == "invoke_agent clerk"
        assert chain["invoke_agent clerk"] == "GET /orders"
