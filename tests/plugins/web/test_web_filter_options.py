"""The page suggests and explains the options that a filter has."""

import re
from importlib.resources import files

import pytest

from hypervisor_observability.search.filter_options import OPTIONS

_BY_WORDS = "--text"  # a word alone does the same


@pytest.mark.parametrize("script", ["filter.js", "help.js"])
def test_page_knows_every_option_of_a_filter_and_no_other(script: str) -> None:
    text = (files("hypervisor_web") / "static" / "js" / script).read_text(encoding="utf-8")
    table = text.partition("const OPTIONS = [")[2].partition("];")[0]

    assert set(re.findall(r'\["(--\w+)', table)) == {one.name for one in OPTIONS} - {_BY_WORDS}
