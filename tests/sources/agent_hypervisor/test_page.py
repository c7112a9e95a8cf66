"""The page about agent-hypervisor holds, as a reader tries it."""

from pathlib import Path

from tests.sources.pages import PAGES, run_page


def test_page_is_run_as_it_stands(tmp_path: Path) -> None:
    run_page(PAGES / "agent-hypervisor.md", tmp_path)
