import string
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypervisor_observability.causality import traceparent
from hypervisor_observability.causality.causal_trace import CausalTraceId
from tests.programs import run_python

TRACE = "0af7651916cd43dd8448eb211c80319c"  # the example of W3C Trace Context, section 3.2.3
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.slow
def test_hundred_thousand_ids_come_back_from_the_wide_form() -> None:
    root = CausalTraceId()
    for _ in range(50_000):
        for one in (CausalTraceId(), root.child()):
            back = CausalTraceId.from_w3c(*one.to_w3c())
            assert (back.trace_id, back.span_id) == (one.trace_id, one.span_id)


def test_widening_is_what_is_written_down() -> None:
    # Computed with coreutils: printf 'hv-trace\\0''a1b2c3d4e5f6' | sha256sum, and so on.
    assert traceparent.widen_trace("a1b2c3d4e5f6") == "0aac36469ce04f1627c1a1b2c3d4e5f6"
    assert traceparent.widen_span("a1b2c3d4e5f6", "01234567") == "e6edeb4401234567"
    assert traceparent.widen_trace("abc123") == "b5e8ca0b209c2a54bac33f61d79f0a9f"
    assert traceparent.widen_span("abc123", "def456") == "dbf914983fe49618"


def test_two_processes_agree_on_the_wide_form() -> None:
    texts = [CausalTraceId().child().full_id, "abc/def", f"{TRACE}/{SPAN}", "A-b_c/x/y"]
    program = (
        "import sys\n"
        "from hypervisor_observability.causality.causal_trace import CausalTraceId\n"
        "print([CausalTraceId.from_string(text).to_w3c() for text in sys.argv[1:]])"
    )
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    told = run_python(program, *texts, check=True, env=environment).stdout

    assert told.strip() == str([CausalTraceId.from_string(text).to_w3c() for text in texts])


def test_ratio_sampler_keeps_its_ratio() -> None:
    # OpenTelemetry's TraceIdRatioBased compares the low 64 bits with ratio * 2**64.
    bound = round(0.1 * 2**64)
    kept = sum(int(CausalTraceId().to_w3c()[0][16:], 16) < bound for _ in range(100_000))

    assert 9_000 <= kept <= 11_000


def test_foreign_ids_are_kept_and_children_stay_in_their_trace() -> None:
    theirs = CausalTraceId.from_traceparent(PARENT)
    child = theirs.child()

    assert theirs.full_id == f"{TRACE}/{SPAN}"
    assert theirs.to_w3c() == (TRACE, SPAN)
    assert not theirs.is_native
    assert child.to_w3c() == (TRACE, child.span_id)
    assert len(child.span_id) == len(theirs.sibling().span_id) == 16
    assert child.parent_span_id == SPAN
    assert len(child.full_id) <= 98
    assert theirs.is_ancestor_of(child)
    assert CausalTraceId.from_string(child.full_id).to_w3c() == child.to_w3c()


def test_native_pair_narrows_and_a_foreign_span_in_a_native_trace_does_not() -> None:
    root = CausalTraceId()
    trace32, span16 = root.to_w3c()
    foreign = CausalTraceId.from_w3c(trace32, SPAN)

    assert CausalTraceId.from_w3c(trace32, span16) == root
    assert foreign.full_id == f"{trace32}/{SPAN}"
    assert not foreign.is_native
    assert CausalTraceId(trace32, span16).is_native
    assert traceparent.narrow_trace(TRACE) is None
    assert traceparent.narrow_span(root.trace_id, SPAN) is None


def test_ancestry_holds_over_a_service_that_kept_our_trace() -> None:
    root = CausalTraceId()
    back = CausalTraceId.from_w3c(root.to_w3c()[0], SPAN, depth=1)

    assert root.is_ancestor_of(back.child())
    assert not root.is_ancestor_of(back.child(), strict=True)
    assert not CausalTraceId().is_ancestor_of(back.child())


@given(st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True).filter(lambda text: text.strip("0")))
def test_every_id_widens_to_a_valid_pair_in_the_trace_of_its_child(part: str) -> None:
    odd = CausalTraceId(part, part)
    traceparent.check_wide(*odd.to_w3c())

    assert odd.child().to_w3c()[0] == odd.to_w3c()[0]
    assert CausalTraceId.from_traceparent(odd.to_traceparent()).to_w3c() == odd.to_w3c()


def test_flags_are_sampled_or_nothing() -> None:
    root = CausalTraceId()
    trace32, span16 = root.to_w3c()

    assert root.to_traceparent() == f"00-{trace32}-{span16}-01"
    assert root.to_traceparent(sampled=False) == f"00-{trace32}-{span16}-00"
    with pytest.raises(ValueError, match="flags: expected 0 to 255, got 256"):
        traceparent.format_traceparent(trace32, span16, flags=256)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (PARENT, 1),
        (f"00-{TRACE}-{SPAN}-ff", 255),
        (f"01-{TRACE}-{SPAN}-00", 0),
        (f"fe-{TRACE}-{SPAN}-03-what-comes-later", 3),
        (f"01-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_traceparent_of_every_version_is_read(text: str, flags: int) -> None:
    assert traceparent.parse_traceparent(text) == (TRACE, SPAN, flags)


HOSTILE = [
    "",
    "00",
    PARENT.upper(),
    PARENT + "\n",
    PARENT + "\r\nX-Evil: 1",
    " " + PARENT,
    PARENT + "-",
    PARENT + "-more",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}-{SPAN}-01",
    f"00-{TRACE}0-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-1",
    f"00-{TRACE}-{SPAN}-0g",
    f"00-{TRACE}-{SPAN}",
    f"0-{TRACE}-{SPAN}-01",
    f"0x-{TRACE}-{SPAN}-01",
    PARENT.replace("0", "\uff10"),
    PARENT.replace("1", "\u0661"),
    PARENT.replace("-", "\u2010"),
    PARENT.replace("a", "\u0430"),
    f"01-{TRACE}-{SPAN}-01-\n",
    f"01-{TRACE}-{SPAN}-01." + "x",
    PARENT + "\x00",
    "\ud800" * 55,
    "0" * 10_000_000,
    f"01-{TRACE}-{SPAN}-01-" + "x" * 10_000_000,
]


@pytest.mark.fault("C17")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_traceparent_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|forbidden|zeros|55 characters") as caught:
        CausalTraceId.from_traceparent(text)

    assert len(str(caught.value)) < 200


@given(st.text(alphabet="0123456789abcdefABCDEF-\uff11\n ", max_size=80))
@example(PARENT)
def test_traceparent_parses_exactly_where_it_round_trips(text: str) -> None:
    try:
        trace32, span16, flags = traceparent.parse_traceparent(text)
    except ValueError:
        return
    assert traceparent.format_traceparent(trace32, span16, flags=flags)[2:] == text[2:55]
    assert set(text) <= set(string.hexdigits.lower() + "-")


@pytest.mark.parametrize("text", [None, 5, b"00-", [PARENT]])
def test_what_is_no_string_is_a_type_error(text: Any) -> None:
    with pytest.raises(TypeError, match="traceparent: expected a string"):
        CausalTraceId.from_traceparent(text)
    with pytest.raises(TypeError, match="trace id: expected a string"):
        CausalTraceId.from_w3c(text, SPAN)
    with pytest.raises(TypeError, match="span id: expected a string"):
        CausalTraceId.from_w3c(TRACE, text)


def test_wide_pair_of_wrong_widths_is_refused() -> None:
    with pytest.raises(ValueError, match="trace id: expected 32"):
        CausalTraceId.from_w3c(SPAN, SPAN)
    with pytest.raises(ValueError, match="span id: expected 16"):
        CausalTraceId.from_w3c(TRACE, TRACE)
    with pytest.raises(ValueError, match="depth"):
        CausalTraceId.from_w3c(TRACE, SPAN, depth=-1)


@pytest.mark.parametrize(
    ("state", "depth"),
    [
        (None, 0),
        ("", 0),
        ("hv=d:3", 3),
        ("vendor=x, hv=d:12;a:beef ,,b=c", 12),
        ("hv=d:3,hv=d:9", 3),
        ("hv=d:03", 0),
        ("hv=d:-1", 0),
        ("hv=d:9999999", 0),
        ("hv=d:\uff13", 0),
        ("hv=x", 0),
        ("hv=d:3,broken", 0),
        ("HV=d:3", 0),
        ("hv=d:3," * 2_000, 0),
        ("hv=d:3\n", 0),
    ],
)
def test_depth_comes_from_tracestate_or_is_zero(state: str | None, depth: int) -> None:
    assert CausalTraceId.from_traceparent(PARENT, state).depth == depth


def test_entries_of_others_are_kept_behind_ours() -> None:
    others = "b=1, t61rcwkgmze@sys=2 ,hv=d:9"

    assert traceparent.format_tracestate(4, others) == "hv=d:4,b=1,t61rcwkgmze@sys=2"
    assert traceparent.other_vendors(others) == "b=1,t61rcwkgmze@sys=2"
    assert traceparent.format_tracestate(4, "b=1\r\nEvil: 1") == "hv=d:4"
    assert traceparent.format_tracestate(10**9, None) == "hv=d:999999"


def test_tracestate_is_cut_to_its_bounds() -> None:
    many = traceparent.format_tracestate(1, ",".join(f"k{n}=v" for n in range(60)))
    assert many.split(",") == ["hv=d:1", *(f"k{n}=v" for n in range(31))]

    long = traceparent.format_tracestate(
        1, ",".join(["big=" + "x" * 200, *(f"k{n}=" + "y" * 100 for n in range(6))])
    )
    assert len(long) <= 512
    assert [member.partition("=")[0] for member in long.split(",")] == [
        "hv",
        "k0",
        "k1",
        "k2",
        "k3",
    ]


@given(st.text() | st.text(alphabet="ab=,; hvd:0123"), st.integers(0, 10**7))
def test_written_tracestate_is_always_valid(others: str, depth: int) -> None:
    written = traceparent.format_tracestate(depth, others)

    assert traceparent.depth_in_tracestate(written) == min(depth, 999_999)
    assert len(written) <= 512
    assert written.isascii()
    assert written.isprintable()
