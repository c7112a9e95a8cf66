"""Lines and datagrams: whatever is written, it says what it should and nothing else."""

import math
import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_statsd import TagDialect
from hypervisor_statsd.lines import (
    MAX_LABELS,
    MAX_PART_CHARACTERS,
    LineFormat,
    MetricType,
    number,
    packed,
    sanitised,
    with_value,
)

PLAIN = LineFormat(tags=TagDialect.NONE)
TAGGED = LineFormat(tags=TagDialect.DOGSTATSD)
INFLUX = LineFormat(tags=TagDialect.INFLUX)

WORD = r"[A-Za-z0-9_.-]+"
VALUE = r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?"
TAGS = rf"(?:\|#{WORD}:{WORD}(?:,{WORD}:{WORD})*)?"
TYPE = r"(c|g|ms|h|d)(?:\|@0\.[0-9]+)?"
# Name, value, type, tags; Influx's tags belong to the name.
LINES = {
    TagDialect.NONE: re.compile(rf"({WORD}):({VALUE})\|{TYPE}()"),
    TagDialect.DOGSTATSD: re.compile(rf"({WORD}):({VALUE})\|{TYPE}({TAGS})"),
    TagDialect.INFLUX: re.compile(rf"({WORD}(?:,{WORD}={WORD})*):({VALUE})\|{TYPE}()"),
}

# Any character, lone surrogates among them.
hostile = st.text(st.characters(exclude_categories=()), max_size=300)
separators = st.text("\n|#@:,;\0 \u2028=", max_size=10)
texts = hostile | separators
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18)


def line(
    format_: LineFormat,
    name: str,
    labels: Iterable[tuple[str, str]],
    value: float,
    type_: MetricType,
) -> str:
    return with_value(format_.stem(name, labels, type_), value)


def test_labels_are_tags_behind_the_value() -> None:
    labels = [("agent_did", "did:mesh:a"), ("session_id", "s1")]

    assert line(TAGGED, "breaches_total", labels, 2, "c") == (
        "breaches_total:2|c|#agent_did:did_mesh_a,session_id:s1"
    )


def test_labels_are_tags_behind_the_name_for_influx() -> None:
    labels = [("agent_did", "did:mesh:a"), ("session_id", "s,1=2")]

    assert line(INFLUX, "breaches_total", labels, 2, "c") == (
        "breaches_total,agent_did=did_mesh_a,session_id=s_1_2:2|c"
    )


@pytest.mark.parametrize("format_", [PLAIN, TAGGED, INFLUX])
def test_no_labels_leave_no_trace(format_: LineFormat) -> None:
    assert line(format_, "n", (), 2, "c") == "n:2|c"


def test_name_that_looks_like_a_service_check_is_none() -> None:
    assert line(TAGGED, "_sc|x", (), 1, "c") == "__sc_x:1|c"
    assert line(LineFormat("acme"), "_sc", (), 1, "c") == "acme._sc:1|c"


def test_labels_are_folded_into_the_name_where_there_are_no_tags() -> None:
    labels = [("agent_did", "did:mesh:a"), ("version", "1.2")]

    assert line(PLAIN, "breaches_total", labels, 2, "c") == "breaches_total.did_mesh_a.1_2:2|c"


def test_empty_label_keeps_its_place() -> None:
    assert line(PLAIN, "n", [("a", ""), ("b", "x")], 1, "c") == "n._.x:1|c"


def test_prefix_stands_in_front() -> None:
    assert line(LineFormat("acme.prod"), "n", (), 1.5, "ms") == "acme.prod.n:1.5|ms"


@pytest.mark.fault("S2")
def test_negative_gauge_is_reached_from_zero() -> None:
    assert line(TAGGED, "n", [("a", "x")], -5, "g") == "n:0|g|#a:x\nn:-5|g|#a:x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (0.25, "0.25"),
        (-7, "-7"),
        (10**14, "100000000000000"),
        (1e300, "1e+300"),
        (True, "1"),
    ],
)
def test_numbers_are_short_decimals(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.fault("S2")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, None])
def test_number_that_is_not_finite_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        number(value)


def test_long_texts_that_differ_at_the_end_go_on_differing() -> None:
    one, other = sanitised("a" * 10_000 + "1"), sanitised("a" * 10_000 + "2")

    assert len(one) == len(other) == MAX_PART_CHARACTERS
    assert one != other


@pytest.mark.fault("S1")
@given(
    name=texts,
    labels=st.lists(st.tuples(texts, texts), max_size=MAX_LABELS + 4),
    value=numbers,
    type_=st.sampled_from(["c", "ms", "g", "h", "d"]),
    tags=st.sampled_from(TagDialect),
    prefix=st.sampled_from(["", "acme.prod"]),
)
def test_no_name_or_label_forges_another_metric(
    name: str,
    labels: list[tuple[str, str]],
    value: float,
    type_: MetricType,
    tags: TagDialect,
    prefix: str,
) -> None:
    lines = line(LineFormat(prefix, tags), name, labels, value, type_).split("\n")

    matches = [match for match in map(LINES[tags].fullmatch, lines) if match]
    assert len(matches) == len(lines) == (2 if type_ == "g" and value < 0 else 1)
    assert {match[3] for match in matches} == {type_}
    assert {match[1] for match in matches} == {matches[0][1]}
    assert float(matches[-1][2]) == float(value)  # values of families are floats
    assert len(matches[0][4].split(",")) <= MAX_LABELS
    assert lines[0].isascii()
    assert len(lines[0]) < 6_000


@pytest.mark.slow
@pytest.mark.fault("S1")
def test_hundred_thousand_hostile_names_forge_no_line_in_any_dialect() -> None:
    draw = random.Random(20_261_126)
    pieces = [
        *("\n", "\r\n", "|", "#", "@", ":", ",", ";", "=", "\0", " ", "\u2028", "\ud800", "\udfff"),
        *("forged:1|c", "|@0.1", "|#a:b", ":-1|g", "_sc|x|0", "_e{1,1}:a|b", "name", "\u202e", "ä"),
        *("\x1b[31m", "\U0001f4a3", "k" * 200, "..", "-", "+5"),
    ]

    def hostile_text() -> str:
        return "".join(draw.choices(pieces, k=draw.randint(0, 6))) + chr(draw.randrange(0x110000))

    forged = []
    for _ in range(100_000):
        name, key, text = hostile_text(), hostile_text(), hostile_text()
        for tags in TagDialect:
            written = line(LineFormat("", tags), name, [(key, text)], 1, "c")
            match = LINES[tags].fullmatch(written)
            if match is None or match[2] != "1" or match[3] != "c" or match[1].startswith("_sc"):
                forged.append((name, key, text, written))

    assert forged == []


def test_hundred_kilobytes_of_name_become_a_short_line() -> None:
    text = "n\n" * 50_000

    for tags in TagDialect:
        assert len(line(LineFormat("", tags), text, [(text, text)], 1, "c")) < 1_000


@pytest.mark.fault("S4")
@given(st.lists(st.text("abc", min_size=1, max_size=40)), st.integers(1, 100))
def test_datagrams_keep_the_order_and_the_bound(texts: list[str], max_bytes: int) -> None:
    groups = list(packed([(text, None, 0) for text in texts], max_bytes))
    datagrams = ["\n".join(text for text, *_ in group) for group in groups]

    assert [text for group in groups for text, *_ in group] == texts
    for group, datagram in zip(groups, datagrams, strict=True):
        assert len(datagram) <= max_bytes or len(group) == 1
    # No group could have taken the first line of the next one as well.
    for datagram, following in zip(datagrams, groups[1:], strict=False):
        assert len(datagram) + 1 + len(following[0][0]) > max_bytes


def test_nothing_makes_no_datagram() -> None:
    assert list(packed([], 100)) == []
