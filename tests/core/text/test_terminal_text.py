"""Text on a terminal: harmless, measured, cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.output import one_line, table
from hypervisor_observability.report.drawing import text_of
from hypervisor_observability.text.terminal_text import MAX_MARKS, columns, escape, fit, wrap

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


# The property of that name in DerivedCoreProperties.txt of the Unicode Character Database, 16.0.
DEFAULT_IGNORABLE = [
    0x00AD, 0x034F, 0x061C, *range(0x115F, 0x1161), *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F),
    *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10), 0xFEFF, 0xFFA0,
    *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
]  # fmt: skip
BLANK = [0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x2800, 0x3000, 0xE000, 0x1D159]


def test_nothing_that_is_not_seen_is_shown() -> None:
    codes = [*DEFAULT_IGNORABLE, *BLANK]

    assert [hex(code) for code in codes if chr(code) in escape(f"a{chr(code)}b")] == []


@pytest.mark.parametrize(
    "other", ["did:a\u3164", "did:a\ufe00", "did:a\u00a0", "did:a\x1f", "did:a\u2028"]
)
def test_names_that_would_look_alike_do_not(other: str) -> None:
    for shown in (escape, one_line, text_of, lambda name: table([[name]])):
        assert shown(other) != shown("did:a")


def test_marks_beyond_those_of_people_take_columns() -> None:
    mark = "\u0301"

    assert escape("a" + mark * MAX_MARKS) == "a" + mark * MAX_MARKS
    assert escape("a" + mark * (MAX_MARKS + 1)) == "a" + mark * MAX_MARKS + "\\u0301"
    assert escape(mark + "a") == "\\u0301a"  # else it stands on what is written before
    assert escape("\x1b" + mark) == "\\x1b\\u0301"


WILD = st.text(st.characters() | st.sampled_from("\u0301\u20dd\ufe0f\u3164 a日"), max_size=300)


@given(WILD, st.integers(min_value=-1, max_value=30), st.booleans())
def test_text_that_fits_is_bounded_in_columns_and_in_characters(
    text: str,
    width: int,
    escaped: bool,
) -> None:
    shown = fit(escape(text) if escaped else text, width)

    assert columns(shown) <= max(0, width)
    assert len(shown) <= max(0, width) * (1 + MAX_MARKS)


@pytest.mark.parametrize("text", ["a" + "\u0301" * 20_000, "\u0301" * 20_000, "\u3164" * 20_000])
def test_text_without_a_width_is_cut(text: str) -> None:
    assert len(fit(text, 60)) <= 60 * (1 + MAX_MARKS)
    assert len(text_of(text)) <= 60 * (1 + MAX_MARKS)
    assert sum(map(len, wrap(escape(text), 40, max_lines=3))) <= 3 * 40 * (1 + MAX_MARKS)


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_written_out_stays_as_it_is(text: str) -> None:
    assert escape(escape(text)) == escape(text)
