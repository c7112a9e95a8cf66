"""A finished span as OTLP: decoded again by the official classes, with everything in place."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

import hypervisor_observability
from hypervisor_observability.spans.record import (
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel import encode_groups, encode_spans, fit_integer, fit_text
from hypervisor_otel.attributes import (
    MAX_ATTRIBUTES,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    decode_attributes,
    encode_attributes,
    encode_value,
)
from hypervisor_otel.encoding import MAX_EVENTS, MAX_LINKS, encode_span
from tests.plugins.otel.spans import make_span


def over_the_wire(span: FinishedSpan) -> trace_pb2.Span:
    request = encode_spans([span], {"service.name": "checkout"})
    decoded = ExportTraceServiceRequest.FromString(request.SerializeToString())
    return decoded.resource_spans[0].scope_spans[0].spans[0]


def test_ids_times_kind_and_status_arrive_as_they_are() -> None:
    span = make_span()

    message = over_the_wire(span)

    assert message.trace_id.hex() == span.trace_id
    assert message.span_id.hex() == span.span_id
    assert message.parent_span_id.hex() == span.parent_span_id
    assert message.name == "saga.step.validate"
    assert message.start_time_unix_nano == 1_700_000_000_123_456_789
    assert message.end_time_unix_nano == 1_700_000_001_123_456_790
    assert message.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
    assert message.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert message.status.message == "connection_timeout"


def test_attributes_keep_their_types_and_gain_agent_and_session() -> None:
    attributes = decode_attributes(over_the_wire(make_span()).attributes)

    assert attributes == {
        "agent.saga.id": "deploy-v2",
        "agent.saga.attempt": 2,
        "agent.hypervisor.expired": True,
        "score": 0.25,
        "agent.did": "did:mesh:orchestrator",
        "session.id": "s1",
    }
    assert attributes["agent.hypervisor.expired"] is True


def test_agent_and_session_of_the_attributes_win() -> None:
    span = make_span(attributes={"agent.did": "did:mesh:other", "session.id": "s2"})

    attributes = decode_attributes(over_the_wire(span).attributes)

    assert attributes == {"agent.did": "did:mesh:other", "session.id": "s2"}


def test_root_without_agent_has_no_parent_and_no_such_attributes() -> None:
    span = make_span(parent_span_id=None, agent_did=None, session_id=None, attributes={})

    message = over_the_wire(span)

    assert message.parent_span_id == b""
    assert not message.attributes


def test_events_and_links_arrive() -> None:
    message = over_the_wire(make_span())

    assert message.events[0].name == "checkpoint"
    assert message.events[0].time_unix_nano == 1_700_000_000_500_000_001
    assert decode_attributes(message.events[0].attributes) == {"n": 1}
    assert message.links[0].trace_id.hex() == "ab" * 16
    assert message.links[0].span_id.hex() == "cd" * 8
    assert decode_attributes(message.links[0].attributes) == {"link.type": "caused_by"}


@pytest.mark.parametrize("status", SpanStatus)
def test_every_status_has_its_code(status: SpanStatus) -> None:
    code = over_the_wire(make_span(status=status)).status.code

    assert trace_pb2.Status.StatusCode.Name(code) == f"STATUS_CODE_{status.name}"


@pytest.mark.parametrize("kind", SpanKind)
def test_every_kind_has_its_number(kind: SpanKind) -> None:
    number = over_the_wire(make_span(kind=kind)).kind

    assert trace_pb2.Span.SpanKind.Name(number) == f"SPAN_KIND_{kind.name}"


def test_request_names_service_and_scope() -> None:
    request = encode_groups(
        [([make_span()], {"service.name": "a"}), ([make_span()], {"service.name": "b"})]
    )

    names = [decode_attributes(group.resource.attributes) for group in request.resource_spans]
    scope = request.resource_spans[0].scope_spans[0].scope
    assert names == [{"service.name": "a"}, {"service.name": "b"}]
    assert scope.name == "hypervisor-observability"
    assert scope.version == hypervisor_observability.__version__


@pytest.mark.fault("O10")
def test_lone_surrogates_become_replacement_characters() -> None:
    span = make_span(
        name="a\ud800b",
        status_message="\udfff",
        attributes={"k\ud800": "v\udc00"},
        events=(SpanEvent("e\ud800", 1),),
        agent_did="did:\ud800",
        session_id=None,
    )

    message = over_the_wire(span)

    assert message.name == "a\ufffdb"
    assert message.status.message == "\ufffd"
    assert message.events[0].name == "e\ufffd"
    assert decode_attributes(message.attributes) == {
        "k\ufffd": "v\ufffd",
        "agent.did": "did:\ufffd",
    }


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_any_text_becomes_utf8_and_good_text_stays(text: str) -> None:
    fitting = fit_text(text)

    fitting.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert fitting == text


@given(st.integers())
def test_any_integer_is_encoded_without_loss(value: int) -> None:
    encoded = encode_value(value)

    fits = -(2**63) <= value < 2**63
    assert encoded.WhichOneof("value") == ("int_value" if fits else "string_value")
    assert int(encoded.int_value if fits else encoded.string_value) == value


@pytest.mark.fault("O10")
def test_giant_integer_is_written_in_hexadecimal_and_cut() -> None:
    digits = fit_integer(10**5_000)

    assert isinstance(digits, str)
    assert digits.startswith("0x")
    assert len(digits) == MAX_TEXT_CHARACTERS


def test_numbers_that_are_none_arrive_as_such() -> None:
    assert math.isnan(encode_value(float("nan")).double_value)
    assert encode_value(float("-inf")).double_value == float("-inf")


@pytest.mark.fault("O10")
def test_long_strings_are_cut() -> None:
    span = make_span(name="n" * 1_000, attributes={"k" * 1_000: "v" * 70_000_000})

    message = over_the_wire(span)

    assert len(message.name) == MAX_NAME_CHARACTERS
    assert len(message.attributes[0].key) == MAX_NAME_CHARACTERS
    assert len(message.attributes[0].value.string_value) == MAX_TEXT_CHARACTERS


def test_what_is_too_many_is_left_out_and_counted() -> None:
    span = make_span(
        attributes={f"k{n}": n for n in range(MAX_ATTRIBUTES + 3)},
        events=(SpanEvent("e", 1),) * (MAX_EVENTS + 2),
        links=(SpanLink("ab" * 16, "cd" * 8),) * (MAX_LINKS + 1),
        agent_did=None,
        session_id=None,
    )

    message = over_the_wire(span)

    assert (len(message.attributes), message.dropped_attributes_count) == (MAX_ATTRIBUTES, 3)
    assert (len(message.events), message.dropped_events_count) == (MAX_EVENTS, 2)
    assert (len(message.links), message.dropped_links_count) == (MAX_LINKS, 1)


def test_attribute_without_a_name_is_left_out_and_counted() -> None:
    pairs, dropped = encode_attributes({"": 1, "a": 2})

    assert (decode_attributes(pairs), dropped) == ({"a": 2}, 1)


def test_decoding_leaves_out_what_is_no_scalar() -> None:
    pairs, _ = encode_attributes({"a": 1, "b": 2})
    pairs[0].value.array_value.SetInParent()

    assert decode_attributes(pairs) == {"b": 2}


def test_times_before_1970_and_beyond_64_bits_are_kept_within() -> None:
    message = over_the_wire(make_span(start_ns=-5, end_ns=2**70))

    assert message.start_time_unix_nano == 0
    assert message.end_time_unix_nano == 2**64 - 1


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_id": "ab"},
        {"trace_id": "zz" * 16},
        {"span_id": "ab cd ef 00 11 22"[:16]},
        {"parent_span_id": ""},
        {"links": (SpanLink("ab", "cd"),)},
    ],
)
def test_malformed_id_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="hexadecimal digits"):
        encode_span(make_span(**changes))
