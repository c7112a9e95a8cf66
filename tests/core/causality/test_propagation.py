import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.choices import Accept
from hypervisor_observability.causality.current_trace import current_trace
from hypervisor_observability.causality.propagation import Propagator, extract, inject
from tests.programs import run_python
from tests.threads import run_in_threads

TRACE = "0af7651916cd43dd8448eb211c80319c"  # the example of W3C Trace Context, section 3.2.3
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
MODES: list[Accept] = ["link", "continue", "restart"]


def test_continued_trace_goes_on_below_the_sender() -> None:
    sender = CausalTraceId().child().child()
    headers: dict[str, str] = {}
    sender.inject(headers)
    received = extract(headers, accept="continue")

    assert sorted(headers) == ["traceparent", "tracestate"]
    assert headers["tracestate"] == "hv=d:2"
    assert received.trace.trace_id == sender.trace_id
    assert received.trace.parent_span_id == sender.span_id
    assert received.trace.depth == 3
    assert sender.is_ancestor_of(received.trace, strict=True)
    assert (received.outcome, received.link, received.sampled) == ("accepted", None, True)


def test_linked_trace_is_our_own_and_names_theirs() -> None:
    received = extract({"traceparent": PARENT, "tracestate": "x=y"})

    assert received.trace.trace_id != TRACE
    assert (received.trace.depth, received.trace.is_native) == (0, True)
    assert received.link == CausalTraceId.from_traceparent(PARENT)
    assert (received.outcome, received.sampled, received.tracestate) == ("accepted", None, "")


def test_restarted_trace_has_no_link() -> None:
    received = extract({"traceparent": PARENT}, accept="restart")

    assert received.trace.trace_id != TRACE
    assert (received.link, received.outcome) == (None, "accepted")


def test_short_form_of_the_method_gives_the_trace_alone() -> None:
    headers = {"traceparent": PARENT}

    assert CausalTraceId.extract(headers, accept="continue").trace_id == TRACE
    assert CausalTraceId.extract(headers).trace_id != TRACE
    assert CausalTraceId.extract(headers, accept="restart").depth == 0
    assert CausalTraceId.extract({}, accept="continue").depth == 0
    assert CausalTraceId.extract({"traceparent": "x"}, accept="continue").depth == 0


def test_state_of_other_vendors_travels_on() -> None:
    incoming = {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE,hv=d:4,rojo=1"}
    received = extract(incoming, accept="continue")
    outgoing: dict[str, str] = {}
    inject(outgoing, received.trace.child(), tracestate=received.tracestate)

    assert received.trace.depth == 5
    assert outgoing["tracestate"] == "hv=d:6,congo=t61rcWkgMzE,rojo=1"


def test_names_are_found_and_replaced_in_any_case() -> None:
    trace = CausalTraceId()
    headers = {"TraceParent": PARENT, "TRACESTATE": "a=1", "Accept": "*/*"}
    trace.inject(headers)

    assert headers == {
        "Accept": "*/*",
        "traceparent": trace.to_traceparent(),
        "tracestate": "hv=d:0,a=1",
    }


@pytest.mark.fault("C17")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": ""},
        {"traceparent": PARENT + "\n"},
        {"traceparent": PARENT.upper()},
        {"traceparent": PARENT.replace("00-", "ff-")},
        {"traceparent": "0" * 10_000_000},
        {"traceparent": PARENT, "Traceparent": PARENT.replace("b7", "b8")},
        {"traceparent": None},
        {"traceparent": b"00"},
        {"traceparent": [PARENT]},
        None,
        5,
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_gives_a_new_root_and_a_reason(headers: Any, mode: Accept) -> None:
    received = extract(headers, accept=mode)

    assert (received.trace.depth, received.trace.parent_span_id) == (0, None)
    assert (received.outcome, received.link, received.sampled) == ("refused", None, None)
    assert 0 < len(received.reason) < 200
    assert CausalTraceId.extract(headers, accept=mode).depth == 0


def test_carrier_that_raises_is_refused() -> None:
    class Broken(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            raise RuntimeError("gone")

        def __iter__(self) -> Iterator[str]:
            return iter(["traceparent"])

        def __len__(self) -> int:
            return 1

    assert extract(Broken()).reason == "gone"
    assert CausalTraceId.extract(Broken()).depth == 0
    assert len(Broken()) == 1


@pytest.mark.parametrize("state", ["broken", "a=\x00", "x" * 10_000_000, None, 5, "hv=d:zz"])
def test_bad_tracestate_does_not_spoil_the_traceparent(state: Any) -> None:
    received = extract({"traceparent": PARENT, "tracestate": state}, accept="continue")

    assert received.outcome == "accepted"
    assert (received.trace.trace_id, received.trace.depth) == (TRACE, 1)


@given(st.dictionaries(st.sampled_from(["traceparent", "Tracestate", "x"]), st.text()))
def test_extract_never_raises(headers: dict[str, str]) -> None:
    for mode in MODES:
        assert extract(headers, accept=mode).trace.depth <= 1


def test_unknown_rule_of_trust_is_refused_at_once() -> None:
    wrong: Any = "trust"
    for attempt in (
        lambda: extract({}, accept=wrong),
        lambda: CausalTraceId.extract({}, accept=wrong),
        lambda: Propagator(wrong),
    ):
        with pytest.raises(ValueError, match="accept: expected 'link', 'continue' or 'restart'"):
            attempt()


def test_inject_takes_the_current_trace_or_writes_nothing() -> None:
    headers: dict[str, str] = {}
    inject(headers)
    assert headers == {}

    with CausalTraceId().activate() as trace:
        inject(headers, sampled=False)
    assert headers["traceparent"] == trace.to_traceparent(sampled=False)
    assert extract(headers, accept="continue").sampled is False
    assert current_trace() is None


def test_environment_hands_a_trace_to_a_subprocess() -> None:
    trace = CausalTraceId().child()
    environment = dict(os.environ)
    inject(environment, trace, environment=True)
    program = (
        "import os\n"
        "from hypervisor_observability.causality.causal_trace import CausalTraceId\n"
        "print(CausalTraceId.extract(os.environ, accept='continue'))"
    )
    told = run_python(program, check=True, env=environment).stdout.strip()

    assert environment["TRACEPARENT"] == trace.to_traceparent()
    assert environment["TRACESTATE"] == "hv=d:1"
    child = CausalTraceId.from_string(told)
    assert (child.trace_id, child.parent_span_id) == (trace.trace_id, trace.span_id)

    other: dict[str, str] = {"TRACESTATE": "a=1"}
    trace.inject(other, environment=True)
    assert other == {"TRACEPARENT": trace.to_traceparent(), "TRACESTATE": "hv=d:1,a=1"}


def test_propagator_counts_what_arrived() -> None:
    propagator = Propagator("continue")
    headers: dict[str, str] = {}
    propagator.inject(headers, CausalTraceId())
    for carrier in (headers, {"traceparent": "x"}, {}, {"other": "y"}, {}):
        propagator.extract(carrier)

    assert (propagator.accepted, propagator.refused, propagator.absent) == (1, 1, 3)
    assert propagator.extract(headers).trace.parent_span_id
    assert (propagator.accepted, propagator.accepted) == (2, 2)


def test_propagator_counts_exactly_over_threads() -> None:
    propagator = Propagator()
    run_in_threads(*[lambda: [propagator.extract({}) for _ in range(2_000)]] * 8)

    assert propagator.absent == 16_000
