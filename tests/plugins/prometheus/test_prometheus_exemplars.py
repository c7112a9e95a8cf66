"""An example of a scrape leads to a span that the OpenTelemetry plugin exported."""

import urllib.request
from collections.abc import Iterator

import pytest
from attrs import frozen
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hypervisor_observability import Observability
from hypervisor_otel import OTelConfig, OTelPlugin
from hypervisor_otel.receiver import OTLPReceiver
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin

WIDE_SECONDS = 60
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@frozen
class Seen:
    """What one application showed and sent.

    Attributes:
        examples: Trace and span of each sample's example, by the sample's name and the label
            that tells most; empty for a sample without one.
        spans: Names of the received spans, by trace and span.
    """

    examples: dict[tuple[str, str], tuple[str, ...]]
    spans: dict[tuple[str, ...], str]

    def span_of(self, name: str, label: str) -> str | None:
        """Give the name of the span that a sample's example leads to."""
        return self.spans.get(self.examples[name, label])


def work(observability: Observability) -> None:
    """Do something of everything that has examples."""
    recorder = observability.recorder
    with recorder.session("s1"), recorder.agent("did:mesh:a", ring=3):
        recorder.breach("rm", ring=3, severity="high")
        with recorder.elevation(3, 1, reason="repair", ttl_seconds=5):
            recorder.decision(True, tool_name="repair", evaluation_ms=3.0)
        observability.governance.record_decision(False, "did:mesh:a", "delete", 60.0)
        recorder.usage(model="m", input_tokens=1, output_tokens=1, cost=0.1, currency="EUR")
        with recorder.saga("deploy") as saga:
            with saga.step("build"):
                pass
            with pytest.raises(OSError, match="down"), saga.step("release"):
                raise OSError("down")
            with saga.compensate("build"):
                pass


def label_of(labels: dict[str, str]) -> str:
    names = ("le", "event_type", "status", "outcome", "decision", "severity", "direction", "end")
    return next((labels[name] for name in names if name in labels), "")


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    with OTLPReceiver() as receiver:
        otel = OTelPlugin(OTelConfig(endpoint=receiver.endpoint))
        with Observability(plugins=[plugin, otel]) as observability:
            work(observability)
            assert observability.flush(WIDE_SECONDS)
            request = urllib.request.Request(plugin.url, headers={"Accept": OPENMETRICS})
            with urllib.request.urlopen(request, timeout=WIDE_SECONDS) as answer:
                text = answer.read().decode()
        yield Seen(
            {
                (sample.name, label_of(sample.labels)): (
                    sample.exemplar.labels["trace_id"],
                    sample.exemplar.labels["span_id"],
                )
                if sample.exemplar
                else ()
                for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs has no types
                for sample in family.samples
            },
            {(span.trace_id, span.span_id): span.name for span in receiver.spans},
        )


def test_every_example_leads_to_a_span_that_was_exported(seen: Seen) -> None:
    given = {sample: ids for sample, ids in seen.examples.items() if ids}

    assert len(given) > 15
    assert {sample for sample, ids in given.items() if ids not in seen.spans} == set()


@pytest.mark.parametrize(
    ("name", "label", "span"),
    [
        ("agent_hypervisor_ring_breaches_by_agent_total", "", "invoke_agent a"),
        ("agent_hypervisor_ring_breaches_by_severity_total", "high", "invoke_agent a"),
        ("agent_governance_policy_decisions_total", "allow", "invoke_agent a"),
        ("agent_governance_policy_decisions_total", "deny", "invoke_agent a"),
        # 60 ms: what the alert on latency is about.
        ("agent_governance_evaluation_latency_ms_bucket", "100.0", "invoke_agent a"),
        ("agent_hypervisor_saga_steps_total", "committed", "saga.step.build"),
        ("agent_hypervisor_saga_steps_total", "failed", "saga.step.release"),
        ("agent_hypervisor_saga_compensations_total", "succeeded", "saga.compensate.build"),
        ("agent_hypervisor_sagas_total", "compensated", "saga deploy"),
    ],
)
def test_example_leads_to_the_span_of_the_work(
    seen: Seen, name: str, label: str, span: str
) -> None:
    assert seen.span_of(name, label) == span


def test_what_never_happened_has_no_example(seen: Seen) -> None:
    assert seen.examples["agent_hypervisor_sagas_total", "escalated"] == ()
