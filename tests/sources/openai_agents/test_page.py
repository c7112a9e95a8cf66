"""The page of the source holds, run as a reader runs it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.sources.pages import PAGES, run_page


@pytest.mark.skipif(
    find_spec("agents.testing") is None,
    reason="the page takes its models from agents.testing, which the oldest version has not",
)
def test_page_shows_what_a_reader_sees(tmp_path: Path) -> None:
    run_page(PAGES / "openai-agents.md", tmp_path)
