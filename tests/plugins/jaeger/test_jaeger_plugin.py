"""The plugin: what Jaeger's users see, its upload file, and its links."""

import json
import stat
from pathlib import Path

import pytest

import hypervisor_jaeger
from hypervisor_jaeger import JaegerConfig, JaegerPlugin, trace_url
from hypervisor_jaeger.shaping import by_service, operation_name, shape
from hypervisor_jaeger.upload_file import UploadFile
from hypervisor_observability import CausalTraceId, Config, EventType, Observability
from hypervisor_observability.config import DeliveryConfig, PluginTable, structure_plugin_table
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import RetryLater
from hypervisor_observability.hookspecs import PluginContext
from hypervisor_observability.spans.record import SpanStatus
from hypervisor_otel.receiver import OTLPReceiver
from tests.plugins.jaeger.spans import make_span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def test_everything_in_all_can_be_imported() -> None:
    for name in hypervisor_jaeger.__all__:
        assert hasattr(hypervisor_jaeger, name)


# Operations and services


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("saga.step.validate", "saga.step.validate"),
        ("saga.step.deploy-v2", "saga.step.deploy-v2"),
        ("saga deploy", "saga deploy"),
        ("invoke_agent facade", "invoke_agent facade"),
        ("invoke_agent deadbeef", "invoke_agent deadbeef"),
        ("saga.step.http-404", "saga.step.http-404"),
        ("saga.step.order-81723", "saga.step.order-{id}"),
        ("saga.completed.3f2a9c1b", "saga.completed.{id}"),
        ("invoke_agent 0af7651916cd43dd8448eb211c80319c", "invoke_agent {id}"),
        ("saga.step.123e4567-e89b-12d3-a456-426614174000.run", "saga.step.{id}.run"),
    ],
)
def test_operation_has_no_ids(name: str, operation: str) -> None:
    assert operation_name(name) == operation


def test_name_that_is_no_operation_is_kept_as_a_tag() -> None:
    span = make_span(name="saga.step.order-81723", attributes={"a": 1})

    shaped = shape(span)

    assert shaped.name == "saga.step.order-{id}"
    assert shaped.attributes == {"a": 1, "agent.hypervisor.span_name": "saga.step.order-81723"}
    assert shape(make_span()).attributes == {}


def test_agents_are_services_only_if_wanted() -> None:
    one, two, none = make_span(1), make_span(2, agent_did="did:b"), make_span(3, agent_did=None)

    assert by_service([one, two, none], "shop", per_agent=False) == {"shop": [one, two, none]}
    assert by_service([one, two, none], "shop", per_agent=True) == {
        "did:mesh:orchestrator": [one],
        "did:b": [two],
        "shop": [none],
    }


# Sending


def test_spans_arrive_under_the_service(receiver: OTLPReceiver, context: PluginContext) -> None:
    plugin = JaegerPlugin(JaegerConfig(endpoint=receiver.endpoint))
    assert plugin.rejected_spans == 0

    plugin.start(context)
    plugin.export_spans([make_span(1), make_span(2, parent=1, status=SpanStatus.ERROR)])
    plugin.flush()
    plugin.stop()

    parent, child = receiver.spans
    assert parent.resource["service.name"] == "checkout-agents"
    assert "service.namespace" not in parent.resource
    assert child.parent_span_id == parent.span_id
    assert child.message.status.code == 2  # STATUS_CODE_ERROR: Jaeger makes error=true of it
    assert plugin.rejected_spans == 0


def test_service_of_the_table_wins(receiver: OTLPReceiver, context: PluginContext) -> None:
    plugin = JaegerPlugin(JaegerConfig(endpoint=receiver.endpoint, service="own"))
    plugin.start(context)
    plugin.export_spans([make_span()])
    plugin.stop()

    assert receiver.spans[0].resource["service.name"] == "own"


def test_agents_are_services_within_the_namespace(
    receiver: OTLPReceiver, context: PluginContext
) -> None:
    plugin = JaegerPlugin(JaegerConfig(endpoint=receiver.endpoint, service_per_agent=True))
    plugin.start(context)
    plugin.export_spans([make_span(1), make_span(2, agent_did=None)])
    plugin.stop()

    agent, rest = receiver.spans
    assert agent.resource["service.name"] == "did:mesh:orchestrator"
    assert agent.resource["service.namespace"] == "checkout-agents"
    assert rest.resource["service.name"] == "checkout-agents"
    assert receiver.requests == 1


def test_check_says_what_was_reached(receiver: OTLPReceiver, context: PluginContext) -> None:
    said = JaegerPlugin(JaegerConfig(endpoint=receiver.endpoint)).check(context)

    assert said == f"Jaeger: OTLP at {receiver.endpoint}/v1/traces"


@pytest.mark.fault("O1")
def test_check_says_that_nobody_answers(free_port: int, context: PluginContext) -> None:
    with pytest.raises(RetryLater, match="cannot be reached"):
        JaegerPlugin(JaegerConfig(endpoint=f"http://127.0.0.1:{free_port}")).check(context)


# The upload file


def test_upload_file_holds_the_spans_although_jaeger_is_away(
    tmp_path: Path, free_port: int, context: PluginContext
) -> None:
    path = tmp_path / "trace.json"
    plugin = JaegerPlugin(JaegerConfig(endpoint=f"http://127.0.0.1:{free_port}", upload_file=path))
    plugin.start(context)
    for _ in range(2):
        with pytest.raises(RetryLater):
            plugin.export_spans([make_span(1), make_span(2, parent=1, name="order-81723")])
    assert not path.exists()

    plugin.flush()

    (trace,) = json.loads(path.read_text())["data"]
    assert [span["spanID"] for span in trace["spans"]] == [f"{1:016x}", f"{2:016x}"]
    assert trace["spans"][1]["operationName"] == "order-{id}"
    process = trace["processes"]["p1"]
    assert process["serviceName"] == "checkout-agents"
    assert {tag["key"] for tag in process["tags"]} >= {"telemetry.sdk.name"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    plugin.stop()


def test_upload_file_keeps_the_newest_spans(tmp_path: Path) -> None:
    upload = UploadFile(tmp_path / "trace.json", max_spans=2)

    upload.add({"a": [make_span(1), make_span(2)]})
    upload.add({"b": [make_span(3)]})
    upload.write()

    (trace,) = json.loads(upload.path.read_text())["data"]
    assert [span["spanID"][-1] for span in trace["spans"]] == ["2", "3"]
    assert len(trace["processes"]) == 2


def test_upload_file_is_written_only_when_something_is_new(tmp_path: Path) -> None:
    upload = UploadFile(tmp_path / "trace.json", max_spans=10)
    upload.write()
    assert not upload.path.exists()

    upload.add({"a": [make_span(1)]})
    upload.write()
    upload.path.unlink()
    upload.write()

    assert not upload.path.exists()


def test_upload_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.mkdir()
    upload = UploadFile(path, max_spans=10)
    upload.add({"a": [make_span(1)]})

    with pytest.raises(OSError, match="directory"):
        upload.write()

    assert list(tmp_path.iterdir()) == [path]


def test_missing_directory_of_the_upload_file_keeps_the_plugin_down(tmp_path: Path) -> None:
    plugin = JaegerPlugin(JaegerConfig(upload_file=tmp_path / "none" / "trace.json"))

    with Observability(plugins=[plugin]) as observability:
        assert "there is no directory" in observability.states()["jaegerplugin"]


# Links


def test_link_leads_to_the_trace() -> None:
    trace = CausalTraceId()

    assert trace_url(TRACE_ID) == f"http://127.0.0.1:16686/trace/{TRACE_ID}"
    assert trace_url(trace).endswith(trace.trace_id)
    plugin = JaegerPlugin(JaegerConfig(ui_url="https://traces.example/jaeger/"))
    assert plugin.trace_url(TRACE_ID) == f"https://traces.example/jaeger/trace/{TRACE_ID}"


@pytest.mark.parametrize("trace_id", ["", "abc", "g" * 32, TRACE_ID.upper(), "../" + TRACE_ID])
def test_link_to_no_trace_is_refused(trace_id: str) -> None:
    with pytest.raises(ValueError, match="expected a trace id"):
        trace_url(trace_id)


@pytest.mark.parametrize(
    "url",
    ["", "jaeger:16686", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://[::1",
     "http://u:p@h", "http://h?a=b", "http://h#a", "http://h/ x", "javascript:alert(1)"],
)  # fmt: skip
def test_unusable_address_of_the_user_interface_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        JaegerConfig(ui_url=url)


# The table


def test_whole_table_is_structured() -> None:
    table = PluginTable(
        "jaeger",
        {
            "endpoint": "http://jaeger:4318",
            "headers": {"authorization": "Bearer hunter2"},
            "service": "shop",
            "service_per_agent": True,
            "upload_file": "trace.json",
            "upload_max_spans": 100,
            "ui_url": "http://jaeger:16686",
        },
    )

    config, _, problems = structure_plugin_table(table, JaegerConfig, DeliveryConfig())

    assert not problems
    assert config == JaegerConfig(
        endpoint="http://jaeger:4318",
        headers={"authorization": Secret("Bearer hunter2")},
        service="shop",
        service_per_agent=True,
        upload_file=Path("trace.json"),
        upload_max_spans=100,
        ui_url="http://jaeger:16686",
    )
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("number", [0, 1_000_001])
def test_number_of_uploaded_spans_is_bounded(number: int) -> None:
    with pytest.raises(ValueError, match="upload_max_spans"):
        JaegerConfig(upload_max_spans=number)


# Driven by the runtime


def test_delegated_work_arrives_as_one_trace_and_as_a_file(
    receiver: OTLPReceiver, tmp_path: Path
) -> None:
    path = tmp_path / "trace.json"
    plugin = JaegerPlugin(
        JaegerConfig(endpoint=receiver.endpoint, service_per_agent=True, upload_file=path)
    )

    with Observability(Config(service="shop"), plugins=[plugin]) as observability:
        recorder = observability.recorder
        with (
            recorder.session("s1"),
            recorder.agent("did:mesh:lead"),
            recorder.agent("did:mesh:worker"),
            recorder.saga("deploy") as saga,
            saga.step("validate"),
        ):
            pass
        assert observability.flush(30)
        counts = observability.counts()["jaegerplugin"]

    assert counts.delivered == counts.emitted
    spans = {span.name: span for span in receiver.spans}
    assert set(spans) == {
        "invoke_workflow hypervisor.session",
        "invoke_agent lead",
        "invoke_agent worker",
        "saga deploy",
        "saga.step.validate",
    }
    session = spans.pop("invoke_workflow hypervisor.session")
    lead, worker = spans["invoke_agent lead"], spans["invoke_agent worker"]
    assert worker.parent_span_id == lead.span_id
    assert spans["saga.step.validate"].parent_span_id == spans["saga deploy"].span_id
    assert worker.resource["service.name"] == "did:mesh:worker"
    # A session is referred to, and has a trace of its own.
    written = {trace["traceID"]: trace for trace in json.loads(path.read_text())["data"]}
    assert set(written) == {session.trace_id, lead.trace_id}
    trace = written[lead.trace_id]
    assert {span["spanID"] for span in trace["spans"]} == {span.span_id for span in spans.values()}
    assert plugin.trace_url(trace["traceID"]).endswith(lead.trace_id)


@pytest.mark.fault("G1")
def test_short_ids_become_traces_one_to_one_and_the_same_in_every_run() -> None:
    ids = [CausalTraceId().full_id for _ in range(300)]

    def traces() -> list[str]:
        with OTLPReceiver() as receiver:
            plugin = JaegerPlugin(JaegerConfig(endpoint=receiver.endpoint))
            with Observability(plugins=[plugin]) as observability:
                for number, id_ in enumerate(ids):
                    for event_type in (EventType.SAGA_CREATED, EventType.SAGA_COMPLETED):
                        observability.bus.record(
                            event_type, causal_trace_id=id_, payload={"saga_id": str(number)}
                        )
                assert observability.flush(60)
        return [span.trace_id for span in receiver.spans]

    first = traces()

    assert len(set(first)) == len(ids)
    assert {trace[-12:] for trace in first} == {id_.partition("/")[0] for id_ in ids}
    assert sorted(traces()) == sorted(first)


def test_traces_with_an_incident_are_kept_of_those_that_are_not_sampled(
    receiver: OTLPReceiver,
) -> None:
    plugin = JaegerPlugin(
        JaegerConfig(endpoint=receiver.endpoint, sample_ratio=0.0, pending_sessions=True)
    )
    config = Config(delivery=DeliveryConfig(keep_incidents=True))

    with Observability(config, plugins=[plugin]) as observability:
        recorder = observability.recorder
        for name in ("quiet", "loud", "quiet"):
            with recorder.agent("did:mesh:a"), recorder.saga(name) as saga, saga.step("work"):
                if name == "loud":
                    recorder.decision(False, tool_name="shell", reason="ring 3")
        assert observability.flush(30)
    counts = observability.counts()["jaegerplugin"]

    assert sorted(span.name for span in receiver.spans) == [
        "execute_tool shell",
        "invoke_agent a",
        "saga loud",
        "saga.step.work",
    ]
    assert len({span.trace_id for span in receiver.spans}) == 1
    assert counts.dropped == {"sampled": 6}
    assert counts.emitted == counts.delivered + 6
