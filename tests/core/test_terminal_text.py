"""Text on a terminal: harmless, measured, cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.terminal_text import columns, escape, fit, wrap

HARMFUL = [
    *range(0x20),
    0x7F,
    *range(0x80, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0x200B, 0x2010),
    0xFEFF,
    0x2028,
    0x2029,
    0xD800,
    0xE0041,
    0x10FFFF,
]


@pytest.mark.parametrize("code", HARMFUL)
def test_harmful_characters_are_written_out(code: int) -> None:
    assert escape(f"a{chr(code)}b") in {f"a\\x{code:02x}b", f"a\\u{code:04x}b", f"a\\U{code:08x}b"}


@given(st.text(st.characters(exclude_categories=())))
def test_escaped_text_is_printable_and_can_be_encoded(text: str) -> None:
    escaped = escape(text)

    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"} for c in escaped)
    escaped.encode()
    escape(text, ascii_only=True).encode("ascii")


def test_text_of_people_stays_as_it_is() -> None:
    assert escape("Größe 日本語 e\u0301 🙂") == "Größe 日本語 e\u0301 🙂"
    assert escape("Größe", ascii_only=True) == "Gr\\xf6\\xdfe"


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("🙂", 2)]
)
def test_columns_are_those_of_a_terminal(text: str, expected: int) -> None:
    assert columns(text) == expected


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_to_fit(text: str, width: int, expected: str) -> None:
    assert fit(text, width) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three", ["one", "two", "three"]),
        ("one two three four", ["one", "two", "thre…"]),
        ("ab cd ef", ["ab cd", "ef"]),
        ("abcdefgh", ["abcde", "fgh"]),
        ("  ab  ", ["ab"]),
        ("", [""]),
    ],
)
def test_text_is_wrapped_at_spaces(text: str, expected: list[str]) -> None:
    assert wrap(text, 5, max_lines=3) == expected


@given(
    st.text(),
    st.integers(min_value=0, max_value=20),
    st.integers(min_value=1, max_value=5),
    st.sampled_from(["…", "..."]),
)
def test_wrapped_lines_keep_to_width_and_number(
    text: str, width: int, max_lines: int, ellipsis: str
) -> None:
    lines = wrap(escape(text), width, max_lines=max_lines, ellipsis=ellipsis)

    assert len(lines) <= max_lines
    assert all(columns(line) <= width for line in lines)
