"""Trace ids in messages: MCP, A2A, and headers that are pairs of bytes."""

from types import MappingProxyType
from typing import Any

import pytest

from hypervisor_observability.causality.causal_trace import CausalTraceId
from hypervisor_observability.causality.message_carriers import (
    A2A_METADATA,
    MCP_META,
    HeaderPairs,
    carrier_in,
    carrier_of,
)
from hypervisor_observability.causality.propagation import Propagator, extract, inject


@pytest.mark.parametrize("key", [MCP_META, A2A_METADATA])
@pytest.mark.parametrize("before", [{}, {"other": {"progressToken": 7}}, {"key": None}])
def test_request_carries_an_id_beside_what_it_has(key: str, before: dict[str, Any]) -> None:
    request = {key if name == "key" else name: value for name, value in before.items()}
    request["name"] = "search"
    caller = CausalTraceId().child()

    inject(carrier_in(request, key), caller)

    assert request["name"] == "search"
    assert set(request[key]) == {"traceparent", "tracestate"}
    assert extract(carrier_of(request, key), accept="continue").trace.parent_span_id == (
        caller.span_id
    )


def test_metadata_of_other_kinds_is_kept_and_not_in_the_way() -> None:
    request: dict[str, Any] = {"_meta": {"progressToken": 7, "io.example/x": {"y": [1]}}}
    caller = CausalTraceId()

    inject(carrier_in(request, MCP_META), caller)

    assert request["_meta"]["progressToken"] == 7
    assert request["_meta"]["io.example/x"] == {"y": [1]}
    assert extract(carrier_of(request, MCP_META)).link == caller


@pytest.mark.parametrize("message", [None, 5, "text", [], MappingProxyType({})])
def test_what_is_no_message_has_no_room_and_raises_nothing(message: Any) -> None:
    propagator = Propagator()

    assert not propagator.inject(carrier_in(message, MCP_META), CausalTraceId())
    assert propagator.unwritten == 1


@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (None, "absent"),
        ("text", "absent"),
        ([], "absent"),
        ({}, "absent"),
        ({"_meta": None}, "absent"),
        ({"_meta": ["traceparent"]}, "absent"),
        ({"_meta": {5: 6, None: 7}}, "absent"),
        ({"_meta": {"traceparent": None}}, "refused"),
        ({"_meta": {"traceparent": {"a": 1}}}, "refused"),
        ({"_meta": {"traceparent": ["00"]}}, "refused"),
    ],
)
def test_hostile_message_has_no_id(message: Any, outcome: str) -> None:
    assert extract(carrier_of(message, MCP_META), accept="continue").outcome == outcome


KINDS: list[tuple[type[str] | type[bytes], type[str] | type[bytes]]] = [
    (str, bytes),
    (bytes, bytes),
    (str, str),
]


@pytest.mark.parametrize(("names", "values"), KINDS)
def test_pairs_are_a_carrier(
    names: type[str] | type[bytes], values: type[str] | type[bytes]
) -> None:
    pairs: list[tuple[Any, Any]] = [(b"host", b"a"), (b"\xff", b"b"), (b"c", b"\xff")]
    caller = CausalTraceId().child()
    carrier = HeaderPairs(pairs, names=names, values=values)

    for _ in range(2):  # the second takes the place of the first
        inject(carrier, caller)

    assert pairs[:3] == [(b"host", b"a"), (b"\xff", b"b"), (b"c", b"\xff")]
    assert [(type(name), type(value)) for name, value in pairs[3:]] == [(names, values)] * 2
    arrived = extract(HeaderPairs(pairs), accept="continue")
    assert arrived.trace.parent_span_id == caller.span_id
    assert arrived.trace.depth == 2


def test_pairs_are_a_mapping() -> None:
    pairs: list[tuple[Any, Any]] = [("a", b"1"), (b"a", "2"), (5, b"x"), ("b", None)]
    carrier = HeaderPairs(pairs)

    assert dict(carrier) == {"a": "1,2"}
    assert len(carrier) == 1
    carrier["b"] = "3"
    assert pairs[-1] == ("b", b"3")
    del carrier["a"]
    assert list(carrier) == ["b"]
    with pytest.raises(KeyError):
        del carrier["a"]
    with pytest.raises(KeyError):
        carrier["a"]


def test_two_ids_in_one_list_of_pairs_are_refused() -> None:
    pairs: list[tuple[Any, Any]] = []
    for _ in range(2):
        one: list[tuple[Any, Any]] = []
        inject(HeaderPairs(one), CausalTraceId())
        pairs += one

    assert extract(HeaderPairs(pairs)).outcome == "refused"
