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


@pytest.mark.parametrize("page", RUN_WHOLE, ids=name_of)
def test_page_is_run_as_it_stands(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)
