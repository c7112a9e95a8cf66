"""A hundred thousand hostile names and labels: nothing is forged, every scrape can be read."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import (
    EventType,
    Exemplar,
    HistogramValue,
    HypervisorEvent,
    MetricFamily,
    MetricKind,
)
from hypervisor_observability.metrics.registry import MetricsRegistry
from hypervisor_prometheus.rendering import Renderer

FORMATS: dict[str, Callable[[str], Iterable[Any]]] = {
    "text/plain;version=0.0.4": text_string_to_metric_families,
    "text/plain;version=1.0.0;escaping=allow-utf-8": text_string_to_metric_families,
    "application/openmetrics-text;version=1.0.0": openmetrics.text_string_to_metric_families,
}
PIECES = [
    *'"\\{}=,# \n\r\t\0é\u2028\ud800\udfff\U0001f600:|@',
    *("# EOF\n", "\nforged_total 1\n", '"} 1\nforged 2', "# TYPE forged counter\n", "\\n", "\\\\"),
    *("le", "did:mesh:a", "+Inf", "NaN", " 1 1700000000", '# {trace_id="f"} 1', "a", "0"),
]
BATCHES, LABELS = 50, 2_000
NAMES = 17_000  # of a metric and a label, in three formats


def hostile(draw: random.Random) -> str:
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(0, 8)))


def hostile_labels(draw: random.Random) -> list[str]:
    labels: set[str] = set()
    while len(labels) < LABELS:
        labels.add(hostile(draw))
    return sorted(labels)


def scrubbed(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def read(accept: str, families: list[MetricFamily]) -> list[Any]:
    _, body = Renderer(lambda: families).render(accept)
    return [sample for family in FORMATS[accept](body.decode()) for sample in family.samples]


@pytest.mark.fault("P6")
@pytest.mark.slow
@pytest.mark.parametrize("accept", FORMATS)
def test_no_label_of_a_hundred_thousand_forges_a_line(accept: str) -> None:
    draw = random.Random(accept)
    for _ in range(BATCHES):
        labels = hostile_labels(draw)
        example = (Exemplar(hostile(draw), 1, 1),)
        counter = MetricFamily(
            name="c_total",
            kind=MetricKind.COUNTER,
            help=hostile(draw),
            label_names=("agent",),
            series={(label,): 1 for label in labels},
            exemplars={(label,): example for label in labels[::7]},
        )
        histogram = MetricFamily(
            name="h",
            kind=MetricKind.HISTOGRAM,
            help=hostile(draw),
            label_names=("agent",),
            histograms={(label,): HistogramValue((1, 0), 1) for label in labels[::50]},
            bounds=(1.0,),
        )

        samples = read(accept, [counter, histogram])

        counted = [sample for sample in samples if sample.name == "c_total"]
        told = Counter(scrubbed(label) for label in labels)
        assert {sample.labels["agent"]: sample.value for sample in counted} == told
        assert {sample.name for sample in samples} == {"c_total", "h_bucket", "h_count", "h_sum"}
        assert all(sample.labels.keys() <= {"agent", "le"} for sample in samples)


@pytest.mark.fault("P6")
@pytest.mark.slow
@pytest.mark.parametrize("accept", FORMATS)
def test_no_name_of_a_metric_or_a_label_forges_a_line(accept: str) -> None:
    draw = random.Random(accept)
    shown = 0
    for _ in range(NAMES):
        family = MetricFamily(
            name=hostile(draw) or "x",
            kind=draw.choice([MetricKind.COUNTER, MetricKind.GAUGE]),
            help=hostile(draw),
            label_names=(hostile(draw),),
            series={("v",): 1},
        )
        sound = MetricFamily(name="sound", kind=MetricKind.GAUGE, help="", series={(): 1})

        samples = read(accept, [family, sound])

        assert len(samples) in {1, 2}  # what cannot be shown is left out, and hides no other
        assert samples[-1].name == "sound"
        assert samples[-1].value == 1
        shown += len(samples) - 1
    assert shown > 0


@pytest.mark.fault("P6")
@pytest.mark.parametrize("accept", FORMATS)
def test_hostile_events_are_counted_and_every_scrape_can_be_read(accept: str) -> None:
    draw = random.Random(accept)
    registry = MetricsRegistry()
    kinds = [*EventType, EventType.of("usage.recorded"), EventType.of("governance.decision")]
    keys = ["severity", "reason", "tool_name", "model", "currency", "policy", "vouch_id", "ring"]
    total = 0
    for _ in range(5):
        events = [
            HypervisorEvent(
                event_type=draw.choice(kinds),
                agent_did=hostile(draw),
                session_id=hostile(draw),
                causal_trace_id=hostile(draw),
                payload={key: hostile(draw) for key in keys}
                | {"input_tokens": 1, "cost": 1, "evaluation_ms": 1},
            )
            for _ in range(500)
        ]
        registry.observe(events)
        total += len(events)

        samples = read(accept, registry.collect())

        assert all(sample.name.startswith("agent_") for sample in samples)
        emitted = "agent_hypervisor_observability_events_emitted_total"
        assert sum(one.value for one in samples if one.name == emitted) == total
