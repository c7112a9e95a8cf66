"""The same spans by our encoder and by the SDK's: the requests are equal, byte for byte."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as sdk_encode
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace import SpanKind as SDKKind
from opentelemetry.trace.status import Status, StatusCode

import hypervisor_observability
from hypervisor_observability.spans.record import (
    FinishedSpan,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanStatus,
)
from hypervisor_otel import request_of_spans
from hypervisor_otel.scope import SCHEMA_URL

RESOURCE = {"service.name": "shop", "region": "eu"}

_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
_ids = {count: st.integers(1, 16**count - 1).map(f"{{:0{count}x}}".format) for count in (16, 32)}
_times = st.integers(0, 2**63)
_attributes = st.dictionaries(
    _texts,
    _texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    max_size=6,
)
_links = st.builds(SpanLink, _ids[32], _ids[16], _attributes)
_spans = st.builds(
    FinishedSpan,
    name=_texts,
    trace_id=_ids[32],
    span_id=_ids[16],
    parent_span_id=st.none() | _ids[16],
    start_ns=_times,
    end_ns=_times,
    kind=st.sampled_from(SpanKind),
    status=st.just(SpanStatus.OK) | st.just(SpanStatus.UNSET),
    attributes=_attributes,
    events=st.lists(st.builds(SpanEvent, _texts, _times, _attributes), max_size=3).map(tuple),
    links=st.lists(_links, max_size=3).map(tuple),
    scope=st.just("step"),
) | st.builds(
    FinishedSpan,
    name=_texts,
    trace_id=_ids[32],
    span_id=_ids[16],
    parent_span_id=st.none(),
    start_ns=_times,
    end_ns=_times,
    status=st.just(SpanStatus.ERROR),
    status_message=_texts,
    scope=st.just("saga"),
)


def context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False)


def for_the_sdk(span: FinishedSpan) -> ReadableSpan:
    parent = span.parent_span_id
    return ReadableSpan(
        name=span.name,
        context=context(span.trace_id, span.span_id),
        parent=None if parent is None else context(span.trace_id, parent),
        resource=Resource(RESOURCE),
        attributes=span.attributes,
        events=[Event(each.name, each.attributes, each.time_ns) for each in span.events],
        links=[Link(context(link.trace_id, link.span_id), link.attributes) for link in span.links],
        kind=SDKKind[span.kind.name],
        status=Status(StatusCode[span.status.name], span.status_message or None),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope(
            "hypervisor-observability", hypervisor_observability.__version__, SCHEMA_URL
        ),
    )


@given(st.lists(_spans, min_size=1, max_size=4))
def test_requests_are_those_of_the_sdk(spans: list[FinishedSpan]) -> None:
    ours = request_of_spans([(spans, RESOURCE)])
    theirs = sdk_encode([for_the_sdk(span) for span in spans])

    assert ours.count == len(spans)
    assert ours.body == theirs.SerializeToString()
