"""Jaeger itself: what it has understood of our spans, read back over its query API."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import Result

from hypervisor_jaeger import JaegerConfig, JaegerPlugin
from hypervisor_jaeger.query_api import QueryAPI, QueryError
from hypervisor_observability import (
    CausalTraceId,
    Config,
    EventType,
    HypervisorEvent,
    Observability,
)
from hypervisor_otel import OTelConfig, OTelPlugin
from tests.backends.servers import REPOSITORY, daemon
from tests.commands import run_hvobs
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.backend


SETTINGS = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{main: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: main}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}"}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: main}}
"""


@frozen
class Jaeger:
    """A running Jaeger."""

    endpoint: str
    grpc_endpoint: str
    api: QueryAPI

    def is_ready(self) -> bool:
        try:
            self.api.services()
        except QueryError:
            return False
        return True

    def has(self, trace_id: str, spans: int) -> bool:
        try:
            return len(self.api.trace(trace_id)["spans"]) == spans
        except QueryError:
            return False


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    built = REPOSITORY / ".servers/bin/jaeger"
    program = os.environ.get("HVOBS_JAEGER") or shutil.which(built) or shutil.which("jaeger")
    if program is None:
        # Minutes of building: not even CI does that on every run.
        pytest.skip("make test-jaeger builds Jaeger, where Go is, and runs these tests.")
    ports = {name: free_port() for name in ("http", "grpc", "query", "query_grpc")}
    work = tmp_path_factory.mktemp("jaeger")
    config = work / "config.yaml"
    config.write_text(SETTINGS.format(**ports))
    base = "http://127.0.0.1"
    server = Jaeger(
        f"{base}:{ports['http']}", f"{base}:{ports['grpc']}", QueryAPI(f"{base}:{ports['query']}")
    )
    with daemon([program, "--config", f"file:{config}"], work / "jaeger.log", server.is_ready):
        yield server


def saga_events(saga_id: str, trace: CausalTraceId) -> list[HypervisorEvent]:
    """A saga whose second step fails, so that its first is undone."""
    build = {"step_id": "b1", "step_action": "build"}
    migrate = {"step_id": "m1", "step_action": "migrate"}
    rows: list[tuple[EventType, dict[str, str]]] = [
        (EventType.SAGA_CREATED, {"name": "deploy"}),
        (EventType.SAGA_STEP_STARTED, build),
        (EventType.SAGA_STEP_COMMITTED, build),
        (EventType.SAGA_STEP_STARTED, migrate),
        (EventType.SAGA_STEP_FAILED, {**migrate, "error": "größer als 3 €"}),
        (EventType.SAGA_COMPENSATING, build),
        (EventType.SAGA_ESCALATED, {"reason": "gave up"}),
    ]
    return [
        HypervisorEvent(
            event_type=event_type,
            timestamp=1_790_000_000.25 + second,
            session_id="s-42",
            agent_did="did:mesh:orchestrator",
            causal_trace_id=trace.full_id,
            payload={"saga_id": saga_id, **payload},
        )
        for second, (event_type, payload) in enumerate(rows)
    ]


def emit(events: list[HypervisorEvent], plugin: JaegerPlugin | OTelPlugin) -> None:
    with Observability(Config(service="shop"), plugins=[plugin]) as observability:
        for event in events:
            observability.bus.emit(event)
        assert observability.flush(30)


def by_operation(trace: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {span["operationName"]: span for span in trace["spans"]}


def tags(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}


def test_saga_with_a_compensation_is_read_back(jaeger: Jaeger, tmp_path: Path) -> None:
    trace = CausalTraceId()
    trace_id = trace.to_w3c()[0]
    upload = tmp_path / "upload.json"
    config = JaegerConfig(endpoint=jaeger.endpoint, upload_file=upload, service="checkout")

    emit(saga_events("deploy-1", trace), JaegerPlugin(config))

    wait_until(lambda: jaeger.has(trace_id, 4))
    shown = jaeger.api.trace(trace_id)
    assert "checkout" in jaeger.api.services()
    operations = {"saga deploy", "saga.step.build", "saga.step.migrate", "saga.compensate.build"}
    assert operations <= set(jaeger.api.operations("checkout"))
    spans = by_operation(shown)
    assert set(spans) == operations
    failed, undone = spans["saga.step.migrate"], spans["saga.compensate.build"]
    assert failed["startTime"] == 1_790_000_003_250_000
    assert failed["duration"] == 1_000_000
    said = tags(failed["tags"])
    assert (said["error"], said["otel.status_code"]) == (True, "ERROR")
    assert said["otel.status_description"] == "größer als 3 €"
    assert (said["agent.saga.id"], said["session.id"]) == ("deploy-1", "s-42")
    assert said["agent.did"] == "did:mesh:orchestrator"
    assert "error" not in tags(undone["tags"])
    references = {(each["refType"], each["spanID"]) for each in undone["references"]}
    assert references == {
        ("CHILD_OF", spans["saga deploy"]["spanID"]),
        ("FOLLOWS_FROM", failed["spanID"]),
        ("FOLLOWS_FROM", spans["saga.step.build"]["spanID"]),
    }

    # What we write for its upload is what it says itself.
    ours = by_operation(json.loads(upload.read_text())["data"][0])
    for operation, span in spans.items():
        assert ours[operation]["traceID"] == span["traceID"]
        for key in ("spanID", "startTime", "duration"):
            assert ours[operation][key] == span[key]
        assert tags(ours[operation]["tags"]) == tags(span["tags"])
        assert {(each["refType"], each["spanID"]) for each in ours[operation]["references"]} == {
            (each["refType"], each["spanID"]) for each in span["references"]
        }
        assert [tags(log["fields"]) for log in ours[operation]["logs"]] == [
            tags(log["fields"]) for log in span["logs"]
        ]


def test_spans_of_the_otel_plugin_arrive_over_grpc(jaeger: Jaeger) -> None:
    trace = CausalTraceId()

    emit(
        saga_events("deploy-2", trace),
        OTelPlugin(OTelConfig(protocol="grpc", endpoint=jaeger.grpc_endpoint, compression="gzip")),
    )

    wait_until(lambda: jaeger.has(trace.to_w3c()[0], 4))
    assert "shop" in jaeger.api.services()


def test_agents_are_services(jaeger: Jaeger) -> None:
    config = JaegerConfig(endpoint=jaeger.endpoint, service_per_agent=True)
    plugin = JaegerPlugin(config)

    with Observability(Config(service="shop"), plugins=[plugin]) as observability:
        recorder = observability.recorder
        with recorder.agent("did:mesh:lead") as lead, recorder.agent("did:mesh:worker"):
            pass
        assert observability.flush(30)

    wait_until(lambda: jaeger.has(lead.trace.to_w3c()[0], 2))
    shown = jaeger.api.trace(lead.trace.to_w3c()[0])
    services = {process["serviceName"]: process for process in shown["processes"].values()}
    assert set(services) == {"did:mesh:lead", "did:mesh:worker"}
    assert tags(services["did:mesh:worker"]["tags"])["service.namespace"] == "shop"
    assert jaeger.api.operations("did:mesh:worker") == ["invoke_agent worker"]


def test_what_is_sent_twice_is_shown_once(jaeger: Jaeger) -> None:
    trace = CausalTraceId()
    events = saga_events("deploy-3", trace)

    for _ in range(2):
        emit(events, JaegerPlugin(JaegerConfig(endpoint=jaeger.endpoint)))

    # It stores what it has acknowledged.
    shown = jaeger.api.trace(trace.to_w3c()[0])["spans"]
    assert len({span["spanID"] for span in shown}) == 4
    operations = [span["operationName"] for span in shown if span["duration"]]
    assert sorted(operations) == ["saga deploy", "saga.step.build", "saga.step.migrate"]


def test_commands_read_traces_back(jaeger: Jaeger, tmp_path: Path) -> None:
    one, other = CausalTraceId(), CausalTraceId()
    emit(saga_events("deploy-4", one), JaegerPlugin(JaegerConfig(endpoint=jaeger.endpoint)))
    emit(saga_events("deploy-5", other)[:3], JaegerPlugin(JaegerConfig(endpoint=jaeger.endpoint)))
    wait_until(lambda: jaeger.has(one.to_w3c()[0], 4) and jaeger.has(other.to_w3c()[0], 1))
    config = tmp_path / "hypervisor.toml"
    config.write_text(f'[plugins.jaeger]\nui_url = "{jaeger.api.url}"\n')

    def run(*arguments: str) -> Result:
        return run_hvobs("jaeger", "--config", config, *arguments)

    fetched, compared = run("fetch", one.full_id), run("compare", one.full_id, other.full_id)
    exported = run("export", one.full_id, str(tmp_path / "trace.json"))

    assert fetched.exit_code == exported.exit_code == 0
    assert len(fetched.stdout.splitlines()) == 4
    assert compared.exit_code == 1
    assert "! shop: saga.step.migrate: spans 1 -> 0, failed 1 -> 0" in compared.stdout
    assert "  shop: saga.step.build: spans 1 -> 1, failed 0 -> 0" in compared.stdout
    assert len(json.loads((tmp_path / "trace.json").read_text())["data"][0]["spans"]) == 4
    assert run("fetch", CausalTraceId().full_id).exit_code == 1
