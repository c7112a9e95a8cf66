"""Ranges of versions mean what they mean to installers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from hypervisor_observability.host.sources.version_range import VersionRange

numbers = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
    lambda parts: ".".join(map(str, parts))
)
early = st.sampled_from(["", "", "a1", "b2", "rc1", "-alpha.1", "preview3"])
posts = st.sampled_from(["", "", ".post1", "-2", "r3"])
versions = st.builds(
    "{}{}{}{}".format,
    numbers,
    early,
    posts,
    st.sampled_from(["", "", ".dev1"]),
)
clauses = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["==", "!=", "<=", ">=", "== "]), versions),
    # Of other limits, installers of different releases think differently.
    st.builds("<{}{}".format, numbers, early),
    st.builds(">{}{}".format, numbers, posts),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), numbers),
    st.builds("~={}.{}".format, st.integers(0, 3), versions),
)


@given(clauses=st.lists(clauses, min_size=1, max_size=3), version=versions)
def test_range_is_that_of_the_standard(clauses: list[str], version: str) -> None:
    text = ",".join(clauses)

    expected = SpecifierSet(text).contains(version, prereleases=True)
    assert (version in VersionRange.of(text)) is expected


@pytest.mark.parametrize(
    "text", ["", "1.0", ">=", ">=x", ">1.*", "==1.0a1.*", "~=1", "=>1", None, 1]
)
def test_other_texts_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected|not a version|'~='|goes with"):
        VersionRange.of(text)


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("1.4", True),
        ("1.4+cpu.2", True),
        ("1!1.4", False),
        ("2.0.0rc1", False),
        ("odd", False),
        ("V1.0", True),
    ],
)
def test_one_version_fits_or_not(version: str, fits: bool) -> None:
    assert (version in VersionRange.of(">=1.0,<2")) is fits
