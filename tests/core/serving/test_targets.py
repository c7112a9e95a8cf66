"""Targets of requests, as clients write them."""

from contextlib import suppress
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypervisor_observability.serving.targets import Target, read_target

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("/", Target("/", {})),
        ("/a?b=1&b=2&c", Target("/a", {"b": "1", "c": ""})),
        ("/a%20b?x=%2B+%26", Target("/a b", {"x": "+ &"})),
        ("/a#token=secret", Target("/a", {})),
        ("/a?http://[", Target("/a", {"http://[": ""})),
        ("http://host:1/a?b=c", Target("/a", {"b": "c"}, ("host:1",))),
        ("http:", Target("", {})),
        ("*", Target("*", {})),
    ],
)
def test_target_is_taken_apart(target: str, read: Target) -> None:
    assert read_target(target) == read


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/%", "two hexadecimal digits"),
        ("/a?b=%zz", "two hexadecimal digits"),
        ("/%ff", "UTF-8"),
        ("/?a=%c3%28", "UTF-8"),
        ("/?%ff=a", "UTF-8"),
        ("/\xff", "visible ASCII"),
        ("/a\rb", "visible ASCII"),
        ("/\x1b[2J", "visible ASCII"),
        ("http://[", "no address"),
        ("http://a]b/", "no address"),
        ("/?" + "&".join("a" * 65), "more than 64 parameters"),
    ],
)
def test_bad_target_is_an_error_that_says_why(target: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_target(target)


@given(st.text(max_size=60))
@example("/?&&&")
@example("//[x")
def test_no_target_raises_anything_else(target: str) -> None:
    with suppress(ValueError):
        read_target(target)


@given(TEXT, st.dictionaries(TEXT, TEXT, max_size=5))
def test_what_is_escaped_arrives_as_it_was(path: str, query: dict[str, str]) -> None:
    assert read_target(f"/{quote(path)}?{urlencode(query)}") == Target(f"/{path}", query)
