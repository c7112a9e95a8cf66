"""Requests larger than a receiver takes: taken apart, sent in parts, and no part twice."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hypervisor_observability import (
    Config,
    EventType,
    HypervisorEvent,
    MetricFamily,
    MetricKind,
    Observability,
)
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.metrics.families import HistogramValue
from hypervisor_otel import OTelConfig, OTelPlugin, OTLPSender, encode_groups, encode_spans
from hypervisor_otel.log_records import encode_logs
from hypervisor_otel.metric_points import encode_metrics
from hypervisor_otel.signals import LOGS, METRICS, TRACES, Signal
from hypervisor_otel.splitting import leaves, split
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import Connected, FakeBackend, StartBackend
from tests.plugins.otel.spans import make_span

RESOURCE = {"service.name": "shop", "deployment.environment.name": "production"}


def spans_request(count: int, size: int = 200) -> Message:
    return encode_spans(
        [make_span(span_id=f"{n + 1:016x}", attributes={"text": "x" * size}) for n in range(count)],
        RESOURCE,
    )


def metrics_request(points: int, size: int = 20) -> Message:
    series: dict[tuple[str, ...], float] = {
        (f"{n:05}" + "a" * size,): float(n) for n in range(points)
    }
    shapes: dict[str, Any] = {
        "help": "What it tells.",
        "label_names": ("agent_did",),
        "unit": "seconds",
    }
    bounds = (0.1, 1.0)
    histograms = {labels: HistogramValue((1, 2, 3), value) for labels, value in series.items()}
    return encode_metrics(
        [
            MetricFamily(name="c_total", kind=MetricKind.COUNTER, series=series, **shapes),
            MetricFamily(name="g", kind=MetricKind.GAUGE, series=series, **shapes),
            MetricFamily(
                name="h", kind=MetricKind.HISTOGRAM, histograms=histograms, bounds=bounds, **shapes
            ),
        ],
        RESOURCE,
        start_ns=1,
        time_ns=2,
    )


def logs_request(count: int, size: int = 100) -> Message:
    events = [
        HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"text": f"{n}" + "x" * size})
        for n in range(count)
    ]
    return encode_logs(events, RESOURCE)


def requests_of(count: int) -> list[tuple[Signal, Message]]:
    return [
        (TRACES, spans_request(count)),
        (METRICS, metrics_request(count)),
        (LOGS, logs_request(count)),
    ]


def spelled(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def contents(request: Message, signal: Signal) -> list[tuple[bytes, ...]]:
    """Every leaf, and what describes what it stands in."""
    found = []
    for path, leaf in leaves(request, signal.levels):
        group: Any = path[0]
        scope: Any = path[1]
        around = [spelled(group.resource), spelled(scope.scope), scope.schema_url.encode()]
        if signal is METRICS:
            metric: Any = path[2]
            data = getattr(metric, metric.WhichOneof("data"))
            kinds = (
                metric.WhichOneof("data"),
                getattr(data, "aggregation_temporality", 0),
                getattr(data, "is_monotonic", False),
            )
            around += [metric.name.encode(), metric.unit.encode(), repr(kinds).encode()]
        found.append((*around, spelled(leaf)))
    return found


@given(st.integers(0, 60), st.integers(1, 6_000))
def test_parts_hold_what_the_whole_held_each_within_the_bound(count: int, bound: int) -> None:
    for signal, request in requests_of(count):
        parts = split(request, signal.levels, bound)

        assert all(
            part.ByteSize() <= bound or signal.count(part) == 1 or part is request for part in parts
        )
        together = [leaf for part in parts for leaf in contents(part, signal)]
        assert together == contents(request, signal)
        assert sum(map(signal.count, parts)) == signal.count(request)


def test_parts_keep_services_apart() -> None:
    groups = [([make_span(), make_span(span_id="11" * 8)], {"service.name": n}) for n in "abc"]
    request = encode_groups(groups)

    parts = split(request, TRACES.levels, request.ByteSize() // 2)

    assert len(parts) > 1
    together = [leaf for part in parts for leaf in contents(part, TRACES)]
    assert together == contents(request, TRACES)


def test_parts_are_as_large_as_they_may_be() -> None:
    request = metrics_request(2_000)

    parts = split(request, METRICS.levels, 50_000)

    assert len(parts) <= request.ByteSize() / 50_000 * 1.1 + 1


SenderTo = Callable[..., OTLPSender]


@pytest.fixture
def sender_to(sender_to: SenderTo) -> SenderTo:
    return partial(sender_to, timeout_seconds=60.0)


@pytest.fixture
def start_limited(start_backend: StartBackend) -> Callable[[int], FakeBackend]:
    """Start a backend that answers 413 to bodies of more bytes than it takes."""

    def start(limit: int) -> FakeBackend:
        def behave(connection: Any) -> None:
            size = len(backend.requests[-1].body)
            acts.answering(413 if size > limit else 200)(connection)

        backend = start_backend(behave)
        return backend

    return start


def taken(backend: FakeBackend, signal: Signal, limit: int) -> list[tuple[bytes, ...]]:
    bodies = [request.body for request in backend.requests if len(request.body) <= limit]
    kind = type(signal.empty())
    return [leaf for body in bodies for leaf in contents(kind.FromString(body), signal)]


StartLimited = Callable[[int], FakeBackend]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_request_that_is_too_large_for_a_receiver_arrives_in_parts(
    sender_to: SenderTo, start_limited: StartLimited, number: int
) -> None:
    signal, request = requests_of(60)[number]
    backend = start_limited(4_000)
    sender = sender_to(f"{backend.endpoint}{signal.path}", signal)

    sender.send(request)

    assert taken(backend, signal, 4_000) == contents(request, signal)
    refused = len(backend.requests)
    sender.send(request)
    # What it takes has been learnt.
    assert all(len(each.body) <= 4_000 for each in backend.requests[refused:])


def test_no_request_is_larger_than_configured(connected: Connected) -> None:
    sender, backend = connected(max_request_bytes=2_000)
    request = spans_request(100)

    sender.send(request)

    assert len(backend.requests) > 5
    assert all(len(each.body) <= 2_000 for each in backend.requests)
    assert taken(backend, TRACES, 2_000) == contents(request, TRACES)


def test_settings_without_a_bound_have_the_default_one(start_backend: StartBackend) -> None:
    @attrs.frozen
    class Settings:
        endpoint: str
        headers: dict[str, Any] = attrs.field(factory=dict)
        timeout_seconds: float = 60.0
        compression: str = "none"
        allow_link_local: bool = False
        ca_file: None = None
        cert_file: None = None
        key_file: None = None

    backend = start_backend()
    sender = OTLPSender(Settings(backend.endpoint))

    sender.send(spans_request(3))

    assert sender.max_request_bytes == 4_000_000
    sender.close()


def test_span_that_is_too_large_alone_is_refused_alone_and_nothing_is_sent_twice(
    sender_to: SenderTo, start_limited: StartLimited
) -> None:
    backend = start_limited(4_000)
    sender = sender_to(backend.endpoint)
    small = [make_span(span_id=f"{n + 1:016x}") for n in range(20)]
    large = make_span(span_id="ff" * 8, attributes={f"k{n}": "x" * 4_000 for n in range(2)})

    with pytest.raises(Reject, match="413"):
        sender.send(encode_spans([*small[:10], large, *small[10:]], RESOURCE))
    requests = len(backend.requests)
    # The core looks for who is at fault.
    sender.send(encode_spans(small[:10], RESOURCE))
    with pytest.raises(Reject, match="413"):
        sender.send(encode_spans([large, *small[10:]], RESOURCE))
    with pytest.raises(Reject, match="413"):
        sender.send(encode_spans([large], RESOURCE))
    sender.send(encode_spans(small[10:], RESOURCE))

    assert len(backend.requests) == requests
    expected = contents(encode_spans(small, RESOURCE), TRACES)
    assert taken(backend, TRACES, 4_000) == expected


def test_part_that_failed_comes_again_without_those_that_were_accepted(
    connected: Connected,
) -> None:
    sender, backend = connected(
        acts.answering(200), acts.answering(503), acts.answering(200), max_request_bytes=4_000
    )
    request = spans_request(20)

    with pytest.raises(RetryLater, match="503"):
        sender.send(request)
    sender.send(request)

    bodies = [each.body for number, each in enumerate(backend.requests) if number != 1]
    arrived = [
        leaf
        for body in bodies
        for leaf in contents(ExportTraceServiceRequest.FromString(body), TRACES)
    ]
    assert arrived == contents(request, TRACES)
    # Another batch is sent whole, and so is the same one when it comes after that.
    other = encode_spans([make_span(span_id="ee" * 8)], RESOURCE)
    sender.send(other)
    requests = len(backend.requests)
    sender.send(request)
    assert len(backend.requests) > requests


def test_refusal_of_one_part_keeps_no_other_from_arriving(connected: Connected) -> None:
    sender, backend = connected(acts.answering(400), acts.answering(200), max_request_bytes=4_000)

    with pytest.raises(Reject, match="400"):
        sender.send(spans_request(30))

    assert len(backend.requests) > 2


def test_point_that_is_too_large_alone_is_left_out_and_counted(
    sender_to: SenderTo,
    start_limited: StartLimited,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = start_limited(4_000)
    sender = sender_to(f"{backend.endpoint}{METRICS.path}", METRICS)
    request = metrics_request(20)
    assert isinstance(request, ExportMetricsServiceRequest)
    point = request.resource_metrics[0].scope_metrics[0].metrics[1].gauge.data_points[3]
    for number in range(3):
        point.attributes.add(key=f"k{number}").value.string_value = "x" * 3_000

    sender.send(request)

    assert sender.rejected == 1
    assert "a data point of" in caplog.text
    assert len(taken(backend, METRICS, 4_000)) == 59


def test_log_records_beyond_the_limit_arrive_once_each_through_the_plugin(
    start_limited: StartLimited,
) -> None:
    backend = start_limited(6_000)
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint, signals=("logs",)))
    with Observability(Config(service="shop"), plugins=[plugin]) as observability:
        for number in range(300):
            observability.bus.record(EventType.VFS_WRITE, session_id=f"s{number}")
        assert observability.flush(60)
        counts = observability.counts()["otelplugin"]

    bodies = [each.body for each in backend.requests if len(each.body) <= 6_000]
    ids = [
        attribute.value.string_value
        for body in bodies
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for record in group.scope_logs[0].log_records
        for attribute in record.attributes
        if attribute.key == "agent.hypervisor.event.id"
    ]
    assert len(ids) == len(set(ids)) == 300
    assert (counts.emitted, counts.delivered) == (300, 300)


@pytest.mark.parametrize("how", ["resetting", "hanging"])
def test_request_that_gets_no_answer_comes_again_in_smaller_parts(
    connected: Connected, how: str
) -> None:
    def behave(connection: Any) -> None:
        act = (
            getattr(acts, how) if len(backend.requests[-1].body) > 100_000 else acts.answering(200)
        )
        act(connection)

    sender, backend = connected(behave, timeout_seconds=2.0)
    request = spans_request(100, 3_000)
    assert request.ByteSize() > 200_000

    for _ in range(6):
        try:
            sender.send(request)
            break
        except RetryLater:
            continue

    assert taken(backend, TRACES, 100_000) == contents(request, TRACES)


def test_small_request_that_gets_no_answer_is_no_reason_for_smaller_ones(
    connected: Connected,
) -> None:
    sender, _ = connected(acts.resetting, acts.answering(200))

    with pytest.raises(RetryLater):
        sender.send(spans_request(3))

    assert sender.max_request_bytes == 4_000_000


def test_push_of_metrics_begins_with_what_the_last_one_left(
    sender_to: SenderTo, start_backend: StartBackend
) -> None:
    ok, later = acts.answering(200), acts.answering(503)
    backend = start_backend(ok, later, ok, later, ok)
    endpoint = f"{backend.endpoint}{METRICS.path}"
    sender = sender_to(endpoint, METRICS, max_request_bytes=4_000)
    request = metrics_request(30)
    parts = split(request, METRICS.levels, 4_000)
    assert len(parts) >= 3

    for _ in range(2):
        with pytest.raises(RetryLater):
            sender.send(request)

    first, _, second, _ = [each.body for each in backend.requests]
    assert contents(ExportMetricsServiceRequest.FromString(first), METRICS) == contents(
        parts[0], METRICS
    )
    assert contents(ExportMetricsServiceRequest.FromString(second), METRICS) == contents(
        parts[1], METRICS
    )
    sender.send(request)
    arrived = {
        leaf
        for each in backend.requests
        for leaf in contents(ExportMetricsServiceRequest.FromString(each.body), METRICS)
    }
    assert arrived == set(contents(request, METRICS))
