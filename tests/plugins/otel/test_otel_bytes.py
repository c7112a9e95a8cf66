"""What we write is what the official classes write of the same spans, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import FinishedSpan, SpanEvent, SpanKind, SpanLink, SpanStatus
from hypervisor_otel import Request, request_of_spans, wire
from hypervisor_otel.encoding import Group
from hypervisor_otel.profiles import PROFILES
from hypervisor_otel.signals import TRACES
from tests.plugins.otel.official_spans import official_request
from tests.plugins.otel.spans import make_span

# Lone surrogates, and so much of everything that something is left out.
TEXTS = st.text(max_size=70) | st.sampled_from(
    ["", "\ud800", "\ud83d\ude00", "é" * 300, "x" * 5_000]
)
NUMBERS = st.integers() | st.sampled_from(
    [0, 1, 127, 128, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**700]
)
VALUES = TEXTS | st.booleans() | NUMBERS | st.floats() | st.none() | st.binary(max_size=3)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=6) | st.integers(127, 140).map(
    lambda count: {"" if number == 5 else f"k{number}": number for number in range(count)}
)
IDS = {count: st.text("0123456789abcdef", min_size=count, max_size=count) for count in (16, 32)}
TIMES = st.integers(-1, 2**64 + 1) | st.just(0)
EVENTS = st.builds(SpanEvent, TEXTS, TIMES, ATTRIBUTES)
LINKS = st.builds(SpanLink, IDS[32], IDS[16], ATTRIBUTES)
SPANS = st.builds(
    FinishedSpan,
    name=TEXTS,
    trace_id=IDS[32],
    span_id=IDS[16],
    parent_span_id=st.none() | IDS[16],
    start_ns=TIMES,
    end_ns=TIMES,
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from(SpanStatus),
    status_message=TEXTS,
    attributes=ATTRIBUTES,
    events=st.lists(EVENTS, max_size=2).map(tuple)
    | st.integers(127, 130).map(lambda count: (SpanEvent("e", 1),) * count),
    links=st.lists(LINKS, max_size=2).map(tuple)
    | st.integers(127, 130).map(lambda count: (SpanLink("a" * 32, "b" * 16),) * count),
    agent_did=st.none() | TEXTS,
    session_id=st.none() | TEXTS,
    scope=st.sampled_from(["agent", "decision", "session", "step", "tool"]),
)
GROUPS = st.lists(st.tuples(st.lists(SPANS, max_size=3), ATTRIBUTES), max_size=2)


@given(GROUPS, st.sets(st.sampled_from(PROFILES)))
def test_bytes_are_those_of_the_official_classes(groups: list[Group], profiles: set[str]) -> None:
    ordered = sorted(profiles)
    written = request_of_spans(groups, ordered)
    official = official_request(groups, ordered)

    assert written == Request.of(official, TRACES)
    assert written.message(TRACES).SerializeToString() == written.body


@pytest.mark.parametrize("value", [1, True, 1.0, "1"])
def test_values_that_are_equal_in_python_stay_what_they_are(value: str | bool | float) -> None:
    for other in (True, 1, 1.0, "1", value):
        groups: list[Group] = [([make_span(attributes={"n": other})], {})]
        assert request_of_spans(groups).body == official_request(groups).SerializeToString()


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 16_383, 16_384, 2**63 - 1, -1, -(2**63)])
def test_varints_are_read_again(number: int) -> None:
    value, shift = 0, 0
    for byte in wire.varint(number):
        value |= (byte & 0x7F) << shift
        shift += 7
    assert value == number % 2**64


@pytest.mark.parametrize("span_id", ["", "ab", "0 1 2 3 4 5 6 7 ", "zz" * 8, "é" * 16])
def test_malformed_id_is_refused(span_id: str) -> None:
    with pytest.raises(ValueError, match="expected an id of 16 hexadecimal digits"):
        request_of_spans([([make_span(span_id=span_id)], {})])


def test_known_attributes_are_bounded() -> None:
    for number in range(5_000):
        request_of_spans([([make_span(attributes={f"k{number}": "v", "long": "x" * 9_999})], {})])
    assert wire._known_pair.cache_info().currsize <= 1_024
