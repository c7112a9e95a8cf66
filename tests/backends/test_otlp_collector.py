"""Our OTLP against a collector that is not ours: Rotel prints what it has understood."""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from attrs import define, field

from hypervisor_jaeger import JaegerConfig, JaegerPlugin
from hypervisor_observability import (
    CausalTraceId,
    Config,
    EventType,
    FinishedSpan,
    HypervisorEvent,
    Observability,
)
from hypervisor_observability.errors import Reject
from hypervisor_otel import OTelConfig, OTelPlugin, OTLPSender, encode_spans
from hypervisor_otel.senders import make_sender
from hypervisor_otel.signals import TRACES
from tests.ports import free_ports
from tests.programs import found_or_skip
from tests.waiting import wait_until

pytestmark = pytest.mark.backend

HOW_TO_GET = (
    "It comes with the dependency group 'servers' (rotel, for Linux on x86_64); or put its "
    "folder on PATH."
)


def find_rotel() -> str | None:
    try:
        package = metadata.distribution("rotel")
    except metadata.PackageNotFoundError:
        beside = Path(sys.executable).parent
        return shutil.which("rotel-agent") or shutil.which("rotel-agent", path=str(beside))
    agent = Path(str(package.locate_file("rotel/rotel-agent")))
    return str(agent) if agent.is_file() else None


@define(eq=False)
class PrintedSpan:
    """A span as the collector prints it."""

    service: str
    fields: dict[str, str] = field(factory=dict)
    attributes: dict[str, str] = field(factory=dict)
    text: str = ""


@define(eq=False)
class Collector:
    """A running collector.

    Attributes:
        endpoint: Where it takes OTLP/HTTP.
        grpc_endpoint: Where it takes OTLP/gRPC.
        output: What it has printed.
    """

    endpoint: str
    grpc_endpoint: str
    output: Path

    def endpoint_of(self, protocol: str) -> str:
        return self.grpc_endpoint if protocol == "grpc" else self.endpoint

    def spans(self) -> dict[str, PrintedSpan]:
        """What it has printed so far, by span id."""
        printed: dict[str, PrintedSpan] = {}
        for resource in self._settled_output().split("ResourceSpans #")[1:]:
            head, *blocks = re.split(r"^Span #\d+$", resource, flags=re.MULTILINE)
            service = re.search(r"-> service\.name: Str\((.*)\)", head)
            assert service is not None
            for block in blocks:
                span = PrintedSpan(service[1], text=block)
                for line in block.splitlines():
                    name, _, value = line.partition(":")
                    span.fields.setdefault(name.strip(), value.strip())
                pairs = re.findall(r"^ +-> ([^ ]+): (\w+\(.*\))$", block, flags=re.MULTILINE)
                span.attributes = dict(pairs)
                printed[span.fields["ID"]] = span
        return printed

    def block(self, kind: str, inside: str, end: str = "") -> str:
        """The first *kind* that it has printed with *inside* in it, up to *end*."""
        for block in re.split(rf"^{kind} #\d+$", self._settled_output(), flags=re.MULTILINE)[1:]:
            if inside in block:
                return block.partition(end)[0] if end else block
        return ""

    def _settled_output(self) -> str:
        """Its output once it has paused: no span is printed by half."""
        text, before = self.output.read_text(), ""
        while text != before:
            time.sleep(0.1)
            text, before = self.output.read_text(), text
        return text


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    agent = found_or_skip("rotel-agent", find_rotel, HOW_TO_GET)
    folder = tmp_path_factory.mktemp("rotel")
    grpc_port, http_port = free_ports(2)
    command = [agent, "start", "--exporter", "blackhole", "--batch-timeout", "100ms"]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{http_port}"]
    for signal_name in ("traces", "metrics", "logs"):
        command += ["--debug-log", signal_name]
    command += ["--debug-log-verbosity", "detailed"]
    command += ["--pid-file", str(folder / "rotel.pid"), "--log-file", str(folder / "rotel.log")]
    output = folder / "output.txt"
    with output.open("wb") as stdout:
        process = subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: answers(http_port), timeout=10)
        wait_until(lambda: answers(grpc_port), timeout=10)
        base = "http://127.0.0.1"
        yield Collector(f"{base}:{http_port}", f"{base}:{grpc_port}", output)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def saga_events(saga_id: str) -> list[HypervisorEvent]:
    def event(event_type: EventType, second: int, **payload: object) -> HypervisorEvent:
        return HypervisorEvent(
            event_type=event_type,
            timestamp=1_790_000_000.25 + second,
            session_id="s-42",
            agent_did="did:mesh:orchestrator",
            payload={"saga_id": saga_id, **payload},
        )

    migrate = {"step_id": "m1", "step_action": "migrate"}
    return [
        event(EventType.SAGA_CREATED, 0, name="deploy"),
        event(EventType.SAGA_STEP_STARTED, 1, **migrate, attempt=2),
        event(EventType.SAGA_STEP_FAILED, 3, **migrate, attempt=2, error="größer als 3 €"),
        event(EventType.SAGA_COMPENSATING, 4, step_id="r1", step_action="rollback"),
        event(EventType.SAGA_ESCALATED, 5, reason="gave up"),
    ]


def spans_of_saga(collector: Collector, saga_id: str) -> dict[str, PrintedSpan]:
    """The printed spans of a saga, by name."""
    return {
        span.fields["Name"]: span
        for span in collector.spans().values()
        if span.attributes.get("agent.saga.id") == f"Str({saga_id})"
    }


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_collector_understands_ids_times_status_and_attributes(
    collector: Collector, compression: str, protocol: str
) -> None:
    saga_id = f"deploy-{compression}-{protocol[:4]}"
    events = saga_events(saga_id)
    config = OTelConfig(
        protocol=protocol,  # type: ignore[arg-type] # one of both
        endpoint=collector.endpoint_of(protocol),
        compression=compression,  # type: ignore[arg-type] # one of both
    )

    with Observability(Config(service="shop"), plugins=[OTelPlugin(config)]) as observability:
        for event in events:
            observability.bus.emit(event)
        assert observability.flush(10)

    wait_until(lambda: len(spans_of_saga(collector, saga_id)) == 3, timeout=10)
    printed = spans_of_saga(collector, saga_id)
    saga, step, undone = (
        printed[name] for name in ("saga deploy", "saga.step.migrate", "saga.compensate.rollback")
    )
    assert saga.service == "shop"
    assert saga.fields["Parent ID"] == ""
    assert step.fields["Parent ID"] == undone.fields["Parent ID"] == saga.fields["ID"]
    assert len({span.fields["Trace ID"] for span in printed.values()}) == 1
    assert step.fields["Start time"] == str(events[1].timestamp_ns)
    assert step.fields["End time"] == str(events[2].timestamp_ns)
    assert saga.fields["Start time"] == str(events[0].timestamp_ns)
    assert saga.fields["End time"] == str(events[4].timestamp_ns)
    assert undone.fields["Start time"] == undone.fields["End time"] == str(events[3].timestamp_ns)
    assert step.fields["Kind"] == "SPAN_KIND_INTERNAL"
    assert step.fields["Status code"] == "STATUS_CODE_ERROR"
    assert step.fields["Status message"] == "größer als 3 €"
    assert undone.fields["Status code"] == "STATUS_CODE_OK"
    assert step.attributes == {
        "agent.saga.id": f"Str({saga_id})",
        "agent.saga.step_id": "Str(m1)",
        "agent.saga.step_action": "Str(migrate)",
        "agent.saga.attempt": "Int(2)",
        "agent.saga.state": "Str(error)",
        "agent.saga.error": "Str(größer als 3 €)",
        "agent.did": "Str(did:mesh:orchestrator)",
        "session.id": "Str(s-42)",
        "error.type": "Str(_OTHER)",
    }
    assert step.fields["ID"] in undone.text  # the link to the step that it undoes


def test_collector_gets_agents_as_services_from_the_jaeger_plugin(collector: Collector) -> None:
    config = JaegerConfig(endpoint=collector.endpoint, service_per_agent=True)

    with Observability(Config(service="shop"), plugins=[JaegerPlugin(config)]) as observability:
        recorder = observability.recorder
        with recorder.agent("did:mesh:lead"), recorder.agent("did:mesh:worker"):
            pass
        assert observability.flush(10)

    def services() -> dict[str, PrintedSpan]:
        return {
            span.service: span
            for span in collector.spans().values()
            if span.service.startswith("did:")
        }

    wait_until(lambda: len(services()) == 2, timeout=10)
    lead, worker = services()["did:mesh:lead"], services()["did:mesh:worker"]
    assert worker.fields["Parent ID"] == lead.fields["ID"]
    assert worker.fields["Trace ID"] == lead.fields["Trace ID"]
    assert worker.fields["Name"] == "invoke_agent worker"


def test_collector_answers_a_check(collector: Collector) -> None:
    sender = OTLPSender(OTelConfig(endpoint=collector.endpoint))

    assert sender.probe() == f"OTLP at {collector.endpoint}/v1/traces"
    sender.close()


def test_wrong_path_of_a_collector_is_refused(collector: Collector) -> None:
    sender = OTLPSender(OTelConfig(endpoint=f"{collector.endpoint}/wrong"))

    with pytest.raises(Reject, match="answered 4"):
        sender.probe()
    sender.close()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_collector_understands_metrics_and_logs(collector: Collector, protocol: str) -> None:
    config = OTelConfig(
        protocol=protocol,  # type: ignore[arg-type] # one of both
        endpoint=collector.endpoint_of(protocol),
        signals=("metrics", "logs"),
    )
    agent, trace = f"did:mesh:{protocol[:4]}", CausalTraceId()
    with Observability(Config(service="shop"), plugins=[OTelPlugin(config)]) as observability:
        event = observability.bus.record(
            EventType.RING_BREACH_DETECTED,
            session_id="s-42",
            agent_did=agent,
            causal_trace_id=trace.full_id,
            payload={"severity": "critical", "ring": 3},
        )
        with observability.recorder.saga("deploy"):
            pass
        assert observability.flush(30)

    trace_id, span_id = trace.to_w3c()
    wait_until(lambda: collector.block("LogRecord", trace_id, "Flags:"), timeout=10)
    record = collector.block("LogRecord", trace_id, "Flags:")
    for line in (
        f"Timestamp: {event.timestamp_ns}",
        "SeverityNumber: SEVERITY_NUMBER_FATAL(21)",
        "EventName: agent.hypervisor.ring.breach_detected",
        "Body: Map(severity:Str(critical))",  # other keys stay in the process
        f"-> agent.did: Str({agent})",
        "-> session.id: Str(s-42)",
        f"-> agent.hypervisor.event.id: Str({event.event_id})",
        f"Span ID        : {span_id}",
    ):
        assert line in record

    wait_until(lambda: collector.block("Metric", f"-> agent_did: Str({agent})"), timeout=10)
    metric = collector.block("Metric", f"-> agent_did: Str({agent})")
    for line in (
        "-> Name: agent_hypervisor_ring_breaches_total",
        "-> IsMonotonic: true",
        "-> AggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE",
        "Value: 1",
        f"-> Trace ID: {trace_id}",
        f"-> Span ID: {span_id}",
    ):
        assert line in metric


def test_request_beyond_what_the_collector_takes_arrives_in_parts(collector: Collector) -> None:
    # Of its own accord the plugin would send no request of this size.
    config = OTelConfig(
        protocol="grpc",
        endpoint=collector.grpc_endpoint,
        max_request_bytes=64 * 1024 * 1024,
        timeout_seconds=60.0,
    )
    large = {f"text.{number}": "x" * 4_000 for number in range(100)}
    spans = [
        FinishedSpan(
            name=f"large {number}",
            trace_id="5e" * 16,
            span_id=f"5e{number:014x}",
            parent_span_id=None,
            start_ns=1_790_000_000_000_000_000,
            end_ns=1_790_000_001_000_000_000,
            scope="step",
            attributes=large,
        )
        for number in range(16)
    ]
    sender = make_sender(config, logging.getLogger("tests.otel"), TRACES)
    sender.send(encode_spans(spans, {"service.name": "large"}))
    sender.close()

    names = {f"large {number}" for number in range(16)}
    wait_until(
        lambda: names <= {span.fields["Name"] for span in collector.spans().values()}, timeout=60
    )
