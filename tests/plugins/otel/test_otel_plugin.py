"""The plugin: its hooks one by one, and driven by the runtime."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs
import opentelemetry.trace
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import hypervisor_otel
from hypervisor_observability import Config, EventType, HypervisorEvent, Observability
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.hookspecs import PluginContext
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_otel.receiver import OTLPReceiver
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import StartBackend
from tests.plugins.otel.spans import make_span


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    with OTLPReceiver() as started:
        yield started


def test_everything_in_all_can_be_imported() -> None:
    assert sorted(hypervisor_otel.__all__) == sorted(set(hypervisor_otel.__all__))
    for name in hypervisor_otel.__all__:
        assert hasattr(hypervisor_otel, name)


def test_spans_arrive_with_the_service_they_come_from(
    receiver: OTLPReceiver, context: PluginContext
) -> None:
    plugin = OTelPlugin(
        OTelConfig(endpoint=receiver.endpoint, resource={"deployment.environment.name": "test"})
    )

    plugin.start(context)
    plugin.export_spans([make_span()])
    plugin.stop()

    (span,) = receiver.spans
    assert span.resource == {
        "service.name": "checkout-agents",
        "deployment.environment.name": "test",
        "telemetry.sdk.name": "hypervisor-observability",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": span.scope_version,
    }


def test_resource_variables_are_read_and_the_configuration_wins(
    receiver: OTLPReceiver, context: PluginContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue,region=eu,service.name=other")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint, resource={"region": "us"}))

    plugin.start(context)
    plugin.export_spans([make_span()])
    plugin.stop()

    resource = receiver.spans[0].resource
    assert (resource["team"], resource["region"]) == ("blue", "us")
    assert resource["service.name"] == "checkout-agents"


def test_global_tracer_provider_is_not_set(receiver: OTLPReceiver, context: PluginContext) -> None:
    plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint))
    plugin.start(context)
    plugin.export_spans([make_span()])
    plugin.stop()

    assert opentelemetry.trace._TRACER_PROVIDER is None


def test_check_says_what_was_reached(receiver: OTLPReceiver, context: PluginContext) -> None:
    said = OTelPlugin(OTelConfig(endpoint=receiver.endpoint)).check(context)

    assert said == f"OTLP at {receiver.endpoint}/v1/traces"
    assert (receiver.requests, receiver.received_spans) == (1, 0)


@pytest.mark.fault("O1")
def test_check_says_that_nobody_answers(free_port: int, context: PluginContext) -> None:
    with pytest.raises(RetryLater, match="cannot be reached"):
        OTelPlugin(OTelConfig(endpoint=f"http://127.0.0.1:{free_port}")).check(context)


def test_check_says_that_somebody_else_answers(
    start_backend: StartBackend, context: PluginContext
) -> None:
    backend = start_backend(acts.answering(404))

    with pytest.raises(Reject, match="404: no OTLP receiver under this path"):
        OTelPlugin(OTelConfig(endpoint=backend.endpoint)).check(context)


def test_start_opens_no_connection_and_stop_needs_no_start(
    start_backend: StartBackend, context: PluginContext
) -> None:
    backend = start_backend()
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint))

    plugin.stop()
    plugin.start(context)
    plugin.stop()

    assert backend.connections == 0


def test_plugin_tells_how_many_spans_were_refused(
    start_backend: StartBackend, context: PluginContext
) -> None:
    # A partial success (field 1) that rejects (field 1) one span.
    backend = start_backend(acts.answering(200, b"\x0a\x02\x08\x01"))
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint))
    assert plugin.rejected_spans == 0

    plugin.start(context)
    plugin.export_spans([make_span(), make_span()])
    plugin.stop()

    assert plugin.rejected_spans == 1


def test_certificates_that_are_missing_keep_the_plugin_down(tmp_path: Path) -> None:
    plugin = OTelPlugin(OTelConfig(endpoint="https://h", ca_file=tmp_path / "ca.pem"))

    with Observability(plugins=[plugin]) as observability:
        assert "ca_file: cannot read" in observability.states()["otelplugin"]


# Driven by the runtime


def step(event_type: EventType, **payload: object) -> HypervisorEvent:
    return HypervisorEvent(
        event_type=event_type,
        session_id="s1",
        agent_did="did:mesh:orchestrator",
        payload={"saga_id": "deploy-v2", **payload},
    )


def test_saga_arrives_as_spans_with_the_times_of_its_events(receiver: OTLPReceiver) -> None:
    validate = {"step_id": "v1", "step_action": "validate"}
    events = [
        step(EventType.SAGA_CREATED),
        step(EventType.SAGA_STEP_STARTED, **validate),
        step(EventType.SAGA_STEP_FAILED, **validate, error="timeout"),
        step(EventType.SAGA_COMPENSATING, step_id="r1", step_action="rollback"),
        step(EventType.SAGA_ESCALATED),
    ]
    plugin = OTelPlugin(OTelConfig(endpoint=receiver.endpoint))

    with Observability(Config(service="shop"), plugins=[plugin]) as observability:
        for event in events:
            observability.bus.emit(event)
        assert observability.flush(30)
        counts = observability.counts()["otelplugin"]

    assert (counts.emitted, counts.delivered) == (5, 5)
    spans = {span.name: span for span in receiver.spans}
    assert set(spans) == {"saga", "saga.step.validate", "saga.compensate.rollback"}
    saga, failed = spans["saga"], spans["saga.step.validate"]
    assert failed.parent_span_id == saga.span_id
    assert failed.trace_id == saga.trace_id
    assert saga.parent_span_id is None
    times = [event.timestamp_ns for event in events]
    assert failed.message.start_time_unix_nano == times[1]
    assert failed.message.end_time_unix_nano == times[2]
    assert saga.message.start_time_unix_nano == times[0]
    assert saga.message.end_time_unix_nano == times[4]
    assert failed.attributes["agent.saga.error"] == "timeout"
    assert failed.attributes["agent.did"] == "did:mesh:orchestrator"
    assert failed.attributes["session.id"] == "s1"
    undone = spans["saga.compensate.rollback"]
    assert [link.span_id.hex() for link in undone.message.links] == [failed.span_id]


@pytest.mark.fault("O3")
def test_backend_that_comes_back_gets_everything_once(start_backend: StartBackend) -> None:
    busy = acts.answering(503, b"", "Retry-After: 0")
    backend = start_backend(busy, busy, acts.answering(200))
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint))

    with Observability(plugins=[plugin]) as observability:
        with observability.recorder.saga("deploy"):
            pass
        assert observability.flush(10)
        counts = observability.counts()["otelplugin"]

    assert counts.delivered == counts.emitted == 2
    assert len(backend.requests) == 3
    assert len({request.body for request in backend.requests}) == 1


@pytest.mark.fault("O6")
def test_backend_that_refuses_costs_the_batch_and_is_counted(start_backend: StartBackend) -> None:
    backend = start_backend(acts.answering(400))
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint))

    with Observability(plugins=[plugin]) as observability:
        with observability.recorder.saga("deploy"):
            pass
        assert not observability.flush(10)
        counts = observability.counts()["otelplugin"]

    # The event that began the saga made no span.
    assert (counts.emitted, counts.delivered, counts.rejected) == (2, 1, 1)


@pytest.mark.fault("O14")
def test_hanging_backend_does_not_hold_up_flush_and_stop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        plugin = OTelPlugin(attrs.evolve(OTelConfig(endpoint=endpoint), timeout_seconds=1.0))
        observability = Observability(Config(stop_timeout_seconds=0.2), plugins=[plugin]).start()
        with observability.recorder.saga("deploy"):
            pass

        assert not observability.flush(0.1)
        assert not observability.stop()


@pytest.mark.fault("O7")
def test_lost_acknowledgement_brings_the_same_spans_again(start_backend: StartBackend) -> None:
    # It has read the request whole, and the connection breaks before it answers.
    backend = start_backend(acts.resetting, acts.answering(200))
    plugin = OTelPlugin(OTelConfig(endpoint=backend.endpoint))

    with Observability(plugins=[plugin]) as observability:
        with observability.recorder.saga("deploy") as saga, saga.step("build"):
            pass
        assert observability.flush(30)
        counts = observability.counts()["otelplugin"]

    assert counts.delivered == counts.emitted == 4
    stored = [
        span.span_id
        for request in backend.requests
        for span in ExportTraceServiceRequest.FromString(request.body)
        .resource_spans[0]
        .scope_spans[0]
        .spans
    ]
    assert len(set(stored)) == 2
    assert len(stored) > 2


@pytest.mark.fault("O13")
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_secret_is_in_the_log_of_a_failure(
    protocol: Literal["http/protobuf", "grpc"],
    free_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    config = OTelConfig(
        protocol=protocol,
        endpoint=f"http://127.0.0.1:{free_port}/v1/traces?token=hunter2",
        headers={"api-key": Secret("hunter3")},
        signals=("traces", "metrics", "logs"),
        timeout_seconds=1.0,
    )

    with Observability(
        Config(stop_timeout_seconds=0.2), plugins=[OTelPlugin(config)]
    ) as observability:
        with observability.recorder.saga("deploy"):
            pass
        assert not observability.flush(2)

    assert f"127.0.0.1:{free_port}" in caplog.text
    assert "hunter" not in caplog.text


@pytest.mark.parametrize(
    ("signals", "idle"),
    [
        (("traces",), {"export_events", "export_metrics"}),
        (("logs", "metrics"), {"export_spans"}),
        (("traces", "metrics", "logs"), set()),
    ],
)
def test_hooks_of_signals_that_are_off_are_idle(
    signals: tuple[Literal["traces", "metrics", "logs"], ...], idle: set[str]
) -> None:
    assert OTelPlugin(OTelConfig(signals=signals)).idle_hooks == idle
