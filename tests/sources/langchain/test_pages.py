"""The pages about LangChain and LangGraph hold, as a reader tries them."""

from pathlib import Path

import pytest

from tests.sources.pages import PAGES, run_page

WATCHING = PAGES.parent / "how-to" / "watch-agents.md"


@pytest.mark.parametrize("page", [PAGES / "langchain.md", PAGES / "langgraph.md", WATCHING])
def test_page_is_run_as_it_stands(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)
