"""Carriers as libraries and servers have them, and ones that nobody should pass."""

import email.message
import types
import uuid
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability.bus.event_bus import HypervisorEventBus
from hypervisor_observability.causality.baggage import NAMES
from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.message_carriers import HeaderPairs
from hypervisor_observability.causality.propagation import Propagator, extract, inject
from hypervisor_observability.recorder import Recorder
from hypervisor_observability.recorder.place import baggage_here

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = f"00-{TRACE}-b7ad6b7169203332-01"


class Multi(MutableMapping[str, str]):
    """Headers as multidict and Starlette have them: a name may stand there several times."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        for key, value in self._pairs:
            if key.lower() == name.lower():
                return value
        raise KeyError(name)

    def __delitem__(self, name: str) -> None:
        kept = [pair for pair in self._pairs if pair[0].lower() != name.lower()]
        if len(kept) == len(self._pairs):
            raise KeyError(name)
        self._pairs = kept

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs.append((name, value))

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> Any:
        return list(self._pairs)


class Pairs(Multi):
    """Headers as Werkzeug has them: iterated over, they are pairs."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pairs)


def message(*pairs: tuple[str, str]) -> email.message.Message:
    """Headers as http.client has them."""
    headers = email.message.Message()
    for name, value in pairs:
        headers[name] = value
    return headers


SEVERAL = [
    ("Host", "a"),
    ("tracestate", "one=1"),
    ("Traceparent", PARENT),
    ("TraceState", "two=2, three=3"),
    ("tracestate", ""),
    ("tracestate", "four=4,hv=d:7"),
]
BYTES = [(name.encode(), value.encode()) for name, value in SEVERAL]
CARRIERS = [
    Multi(*SEVERAL),
    Pairs(*SEVERAL),
    message(*SEVERAL),
    SEVERAL,
    tuple(SEVERAL),
    [list(pair) for pair in SEVERAL],
    BYTES,
    HeaderPairs(list(BYTES)),
    HeaderPairs(list(SEVERAL)),
    {"wsgi.version": (1, 0), "HTTP_TRACEPARENT": PARENT,
     "HTTP_TRACESTATE": "one=1,two=2, three=3,,four=4,hv=d:7"},
]  # fmt: skip


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: type(carrier).__name__)
def test_several_tracestate_headers_are_one_list_in_their_order(carrier: Any) -> None:
    arrived = extract(carrier, accept="continue")

    assert arrived.trace.trace_id == TRACE
    assert arrived.tracestate == "one=1,two=2,three=3,four=4"
    assert arrived.trace.depth == 8


@pytest.mark.parametrize("second", [PARENT, OTHER, ""])
@pytest.mark.parametrize("make", [Multi, Pairs, message, lambda *pairs: list(pairs)])
@pytest.mark.parametrize("name", ["traceparent", "TraceParent"])
def test_second_traceparent_makes_both_invalid(make: Any, name: str, second: str) -> None:
    arrived = extract(make(("traceparent", PARENT), (name, second)), accept="continue")

    assert arrived.outcome == "refused"
    assert arrived.trace.trace_id != TRACE


def test_environment_of_a_wsgi_server_is_no_request() -> None:
    environ = {"wsgi.version": (1, 0), "TRACEPARENT": PARENT}
    assert extract(environ).outcome == "absent"

    environ |= {"HTTP_TRACEPARENT": OTHER, "HTTP_BAGGAGE": "session.id=s1"}
    arrived = extract(environ, accept="continue", allowed_baggage=NAMES)
    assert arrived.trace.parent_span_id == "b7ad6b7169203332"
    assert arrived.baggage == {"session.id": "s1"}
    assert extract({"HTTP_TRACEPARENT": PARENT}).outcome == "absent"  # that may be a header's name


def test_other_headers_are_not_looked_up() -> None:
    class Lazy(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            assert key == "traceparent"
            return super().__getitem__(key)

    assert extract(Lazy(traceparent=PARENT, cookie="x")).outcome == "accepted"


@pytest.mark.parametrize("make", [Multi, message])
def test_id_takes_the_place_of_all_that_stand_there(make: Any) -> None:
    carrier = make(*SEVERAL, ("TRACEPARENT", OTHER))
    trace = CausalTraceId()

    assert inject(carrier, trace)

    arrived = extract(carrier, accept="continue")
    assert arrived.trace.parent_span_id == trace.span_id
    assert arrived.tracestate == "one=1,two=2,three=3,four=4"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __bool__(self) -> bool:
        raise RuntimeError("no")


ODD: list[Any] = [
    None,
    5,
    "text",
    [],
    [("a", "b")],
    types.MappingProxyType({}),
    object(),
    Hostile(),
    HeaderPairs([(1, 2, 3)]),  # type: ignore[list-item]  # on purpose
    iter([]),
]


@pytest.mark.parametrize("carrier", ODD, ids=lambda carrier: type(carrier).__name__)
def test_odd_carrier_is_refused_counted_and_raises_nothing(carrier: Any) -> None:
    propagator = Propagator(allowed_baggage=NAMES, baggage_here=lambda: {"session.id": "s1"})

    assert propagator.inject(carrier, CausalTraceId()) is False
    assert propagator.unwritten == 1
    assert CausalTraceId().inject(carrier) is False
    assert inject(carrier, CausalTraceId()) is False
    assert extract(carrier).outcome in ("refused", "absent")


@pytest.mark.parametrize("trace", ["a/b", 5, Hostile(), {}])
def test_trace_of_another_kind_is_refused(trace: Any) -> None:
    headers: dict[str, str] = {}

    assert Propagator().inject(headers, trace) is False
    assert headers == {}


@given(st.one_of(st.text(), st.integers(), st.uuids(), st.floats(), st.binary(), st.none()))
def test_ids_of_any_type_travel_as_the_text_that_events_have(value: Any) -> None:
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    propagator = Propagator("continue", allowed_baggage=NAMES, baggage_here=baggage_here)
    headers: dict[str, str] = {}
    saga_id = uuid.UUID(int=5)

    with recorder.session(value), recorder.agent(value), recorder.saga("x", saga_id=saga_id):  # type: ignore[arg-type]  # on purpose
        assert propagator.inject(headers)

    event = bus.all_events[0]
    found = propagator.extract(headers).baggage
    assert found["saga.id"] == bus.all_events[2].payload["saga_id"] == str(saga_id)
    if event.session_id and event.session_id.isprintable() and len(event.session_id) <= 256:
        assert found.get("session.id") in (event.session_id, None)
        assert event.session_id == str(value) or value is None


def test_baggage_of_any_type_is_written_as_text() -> None:
    here: Any = {"session.id": uuid.UUID(int=1), "saga.id": 42, "agent.did": Hostile()}
    headers: dict[str, str] = {}

    assert Propagator(allowed_baggage=NAMES, baggage_here=lambda: here).inject(
        headers, CausalTraceId()
    )
    assert f"session.id={uuid.UUID(int=1)}" in headers["baggage"]
    assert "saga.id=42" in headers["baggage"]


def test_baggage_that_cannot_be_had_is_counted() -> None:
    def broken() -> dict[str, str]:
        raise OSError("gone")

    propagator = Propagator(allowed_baggage=NAMES, baggage_here=broken)
    headers: dict[str, str] = {}

    assert propagator.inject(headers, CausalTraceId()) is False
    assert propagator.unwritten == 1
    assert "traceparent" in headers
