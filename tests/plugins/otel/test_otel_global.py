"""``global = true``, each in a process of its own: a global provider is set for good."""

from pathlib import Path

from hypervisor_observability.config import DeliveryConfig, PluginTable, structure_plugin_table
from hypervisor_otel import OTelConfig
from tests.programs import run_python

BEGIN = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from hypervisor_observability import Config, Observability
from hypervisor_otel.receiver import OTLPReceiver


def config(endpoint):
    return Config(service="shop", plugins={"otel": {"endpoint": endpoint, "global": True}})

"""


def run(code: str, folder: Path) -> str:
    done = run_python(BEGIN + code, timeout=100, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_key_is_the_keyword_and_is_off_unless_set() -> None:
    assert not OTelConfig().global_
    for value in (True, False):
        table = PluginTable("otel", {"global": value})
        config, _, problems = structure_plugin_table(table, OTelConfig, DeliveryConfig())
        assert not problems
        assert config is not None
        assert config.global_ is value
    _, _, problems = structure_plugin_table(
        PluginTable("otel", {"global": 5}), OTelConfig, DeliveryConfig()
    )
    assert [problem.key for problem in problems] == ["plugins.otel.global"]


def test_spans_of_others_are_sent_along(tmp_path: Path) -> None:
    run(
        """
with OTLPReceiver() as receiver:
    with Observability(config(receiver.endpoint)) as observability:
        with trace.get_tracer("library").start_as_current_span("theirs"):
            pass
        with observability.recorder.saga("ours"):
            pass
        assert observability.flush(30)
    assert receiver.wait_for(2, timeout=30)
    spans = {span.name: span for span in receiver.spans}
    assert set(spans) == {"theirs", "saga ours"}, spans
    assert spans["theirs"].resource == spans["saga ours"].resource
    assert spans["theirs"].scope_name == "library"
""",
        tmp_path,
    )


def test_provider_that_is_set_already_stays_and_the_plugin_is_down(tmp_path: Path) -> None:
    run(
        """
own = TracerProvider()
trace.set_tracer_provider(own)
with Observability(config("http://127.0.0.1:9")) as observability:
    assert "has set a global TracerProvider already" in observability.states()["otel"]
assert trace.get_tracer_provider() is own
""",
        tmp_path,
    )


def test_spans_of_others_that_nobody_takes_are_told(tmp_path: Path, free_port: int) -> None:
    said = run(
        f"""
import logging
logging.basicConfig()
with Observability(config("http://127.0.0.1:{free_port}")):
    trace.get_tracer("library").start_span("theirs").end()
""",
        tmp_path,
    )

    assert "1 spans of others are lost" in said


def test_missing_extra_is_told(tmp_path: Path) -> None:
    run(
        """
sys.modules["opentelemetry.exporter.otlp.proto.common.trace_encoder"] = None
with Observability(config("http://127.0.0.1:9")) as observability:
    assert "needs the extra hypervisor-otel[global]" in observability.states()["otel"]
""",
        tmp_path,
    )


def test_span_of_others_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    said = run(
        """
import logging
logging.basicConfig()
with OTLPReceiver() as receiver:
    with Observability(config(receiver.endpoint)):
        trace.get_tracer("library").start_span("before 1970", start_time=-5).end()
        trace.get_tracer("library").start_span("theirs").end()
    assert receiver.wait_for(1, timeout=30)
    assert [span.name for span in receiver.spans] == ["theirs"]
""",
        tmp_path,
    )

    assert "1 spans of others cannot be written" in said
