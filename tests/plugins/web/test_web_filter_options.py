"""The page suggests the options that a filter has."""

import re
from importlib.resources import files

from hypervisor_observability.search.filter_options import OPTIONS

_BY_WORDS = "--text"  # a word alone does the same


def test_page_suggests_every_option_of_a_filter_and_no_other() -> None:
    script = (files("hypervisor_web") / "static/js/filter.js").read_text(encoding="utf-8")
    table = script.partition("const OPTIONS = [")[2].partition("];")[0]

    assert set(re.findall(r'\["(--\w+)"', table)) == {one.name for one in OPTIONS} - {_BY_WORDS}
