"""Spans in Jaeger's own JSON: the shape that its user interface takes for upload."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_jaeger import trace_document
from hypervisor_observability import __version__
from hypervisor_observability.spans.record import (
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from tests.plugins.jaeger.spans import make_span


def only_span(span: FinishedSpan) -> dict[str, Any]:
    document = trace_document({"shop": [span]}, {})
    result: dict[str, Any] = document["data"][0]["spans"][0]
    return result


def tags_of(span: FinishedSpan) -> dict[str, object]:
    return {tag["key"]: tag["value"] for tag in only_span(span)["tags"]}


def test_document_of_a_parent_and_its_child() -> None:
    spans = [make_span(2, parent=1), make_span(1, name="saga deploy")]

    document = trace_document({"shop": spans}, {"telemetry.sdk.language": "python"})

    (trace,) = document["data"]
    assert trace["traceID"] == "0af7651916cd43dd8448eb211c80319c"
    assert trace["processes"] == {
        "p1": {
            "serviceName": "shop",
            "tags": [{"key": "telemetry.sdk.language", "type": "string", "value": "python"}],
        }
    }
    parent, child = trace["spans"]
    assert parent["operationName"] == "saga deploy"
    assert parent["references"] == []
    assert child == {
        "traceID": "0af7651916cd43dd8448eb211c80319c",
        "spanID": "0000000000000002",
        "operationName": "saga.step.validate",
        "references": [
            {
                "refType": "CHILD_OF",
                "traceID": "0af7651916cd43dd8448eb211c80319c",
                "spanID": "0000000000000001",
            }
        ],
        "startTime": 1_700_000_000_002_000,
        "duration": 2_500,
        "tags": [
            {"key": "agent.did", "type": "string", "value": "did:mesh:orchestrator"},
            {"key": "session.id", "type": "string", "value": "s1"},
            {"key": "span.kind", "type": "string", "value": "internal"},
            {"key": "otel.scope.name", "type": "string", "value": "hypervisor-observability"},
            {"key": "otel.scope.version", "type": "string", "value": __version__},
        ],
        "logs": [],
        "processID": "p1",
    }


def test_failed_span_is_marked_as_jaeger_marks_it() -> None:
    tags = tags_of(make_span(status=SpanStatus.ERROR, status_message="timeout"))

    assert tags["error"] is True
    assert tags["otel.status_code"] == "ERROR"
    assert tags["otel.status_description"] == "timeout"


def test_failed_span_without_a_reason_has_no_description() -> None:
    tags = tags_of(make_span(status=SpanStatus.ERROR))

    assert tags["error"] is True
    assert "otel.status_description" not in tags


def test_good_span_is_not_marked() -> None:
    tags = tags_of(make_span(status=SpanStatus.OK, kind=SpanKind.CLIENT))

    assert "error" not in tags
    assert tags["otel.status_code"] == "OK"
    assert tags["span.kind"] == "client"


def test_link_follows_from_and_event_is_a_log() -> None:
    span = only_span(
        make_span(
            links=(SpanLink("ab" * 16, "cd" * 8, {"link.type": "caused_by"}),),
            events=(SpanEvent("checkpoint", 1_700_000_000_000_001_999, {"n": 1}),),
        )
    )

    assert span["references"] == [
        {"refType": "FOLLOWS_FROM", "traceID": "ab" * 16, "spanID": "cd" * 8}
    ]
    assert span["logs"] == [
        {
            "timestamp": 1_700_000_000_000_001,
            "fields": [
                {"key": "event", "type": "string", "value": "checkpoint"},
                {"key": "n", "type": "int64", "value": 1},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (True, "bool", True),
        (7, "int64", 7),
        (2**63, "string", str(2**63)),
        (0.5, "float64", 0.5),
        (float("nan"), "string", "nan"),
        (float("-inf"), "string", "-inf"),
        ("a\ud800", "string", "a\ufffd"),
    ],
)
def test_tag_has_the_type_of_its_value(value: object, kind: str, shown: object) -> None:
    span = only_span(make_span(attributes={"k": value, "": "no name"}))

    assert span["tags"][0] == {"key": "k", "type": kind, "value": shown}
    assert all(tag["key"] for tag in span["tags"])


def test_each_service_of_a_trace_is_a_process_and_each_trace_a_document() -> None:
    document = trace_document(
        {
            "a": [make_span(1), make_span(3, parent=1)],
            "b": [make_span(2, parent=1), make_span(4, trace_id="cd" * 16)],
        },
        {},
    )

    first, second = document["data"]
    assert [span["processID"] for span in first["spans"]] == ["p1", "p2", "p1"]
    assert [process["serviceName"] for process in first["processes"].values()] == ["a", "b"]
    assert second["traceID"] == "cd" * 16
    assert [process["serviceName"] for process in second["processes"].values()] == ["b"]


def test_child_never_ends_after_its_parent_by_rounding() -> None:
    parent = only_span(make_span(start_ns=1_999, end_ns=5_000))
    child = only_span(make_span(start_ns=2_001, end_ns=4_999))

    assert parent["startTime"] <= child["startTime"]
    assert child["startTime"] + child["duration"] <= parent["startTime"] + parent["duration"]


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=[]), max_size=5),
        st.one_of(
            st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=[]))
        ),
        max_size=4,
    )
)
def test_any_attributes_become_strict_json(attributes: dict[str, Any]) -> None:
    document = trace_document({"s": [make_span(attributes=attributes)]}, {})
    text = json.dumps(document, allow_nan=False, ensure_ascii=False)

    text.encode()


def test_attribute_of_a_kind_that_there_is_not_becomes_text() -> None:
    odd: Any = {"list": [1], "none": None, "giant": 10**400}

    document = trace_document({"shop": [make_span(attributes=odd, scope="step")]}, {})

    tags = {tag["key"]: tag["value"] for tag in document["data"][0]["spans"][0]["tags"]}
    assert (tags["list"], tags["none"]) == ("[1]", "None")
    assert tags["giant"] == str(10**400)
    assert json.dumps(document, allow_nan=False)
