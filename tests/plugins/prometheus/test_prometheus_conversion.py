"""Families as every format of Prometheus shows them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hypervisor_observability import HistogramValue, MetricFamily, MetricKind
from hypervisor_observability.metrics.families import LabelValues
from hypervisor_prometheus.conversion import to_metric
from hypervisor_prometheus.rendering import Renderer

FORMATS = {
    "text/plain;version=0.0.4": parse_text,
    "text/plain;version=1.0.0": parse_text,
    "application/openmetrics-text;version=1.0.0": parse_openmetrics,
}
RING_FAMILIES = [
    MetricFamily(
        name="agent_hypervisor_ring_transitions_total",
        kind=MetricKind.COUNTER,
        help="Ring assignments, elevations, demotions and expirations",
        label_names=("event_type", "agent_did", "session_id"),
        series={("ring.assigned", "did:mesh:a", "s1"): 2},
    ),
    MetricFamily(
        name="agent_hypervisor_ring_breaches_total",
        kind=MetricKind.COUNTER,
        help="Capability boundary violations",
        label_names=("agent_did", "session_id"),
        series={("did:mesh:a", "s1"): 1},
    ),
    MetricFamily(
        name="agent_hypervisor_ring_current",
        kind=MetricKind.GAUGE,
        help="Current ring",
        label_names=("agent_did",),
        series={("did:mesh:a",): 0},
    ),
    MetricFamily(
        name="agent_hypervisor_ring_elevation_duration_seconds",
        kind=MetricKind.GAUGE,
        help="Time spent at elevated privilege",
        unit="seconds",
        label_names=("agent_did",),
        series={("did:mesh:a",): 2.5},
    ),
]
LATENCY = MetricFamily(
    name="evaluation_seconds",
    kind=MetricKind.HISTOGRAM,
    help="Latency",
    unit="seconds",
    label_names=("decision",),
    histograms={("allow",): HistogramValue((1, 2, 3), 4.5)},
    bounds=(0.5, 1.0),
)


class OneMetric:
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        return [self._metric]


def written(family: MetricFamily, accept: str = "") -> str:
    registry = CollectorRegistry()
    registry.register(OneMetric(to_metric(family)))
    encode, _ = choose_encoder(accept)
    return encode(registry).decode("utf-8")


def samples(family: MetricFamily, accept: str = "") -> dict[tuple[str, tuple[str, ...]], float]:
    """Read what is written with the official parser: name and sorted label values to value."""
    parse = FORMATS[accept] if accept else parse_text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in parse(written(family, accept))
        for sample in metric.samples
    }


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize("family", RING_FAMILIES, ids=lambda family: family.name)
def test_every_format_shows_exactly_the_name_of_the_family(
    family: MetricFamily, accept: str
) -> None:
    ((name, _),) = samples(family, accept)

    assert name == family.name
    assert "_created" not in written(family, accept)


@pytest.mark.parametrize("accept", FORMATS)
def test_buckets_are_cumulative(accept: str) -> None:
    assert samples(LATENCY, accept) == {
        ("evaluation_seconds_bucket", ("allow", "0.5")): 1,
        ("evaluation_seconds_bucket", ("allow", "1.0")): 3,
        ("evaluation_seconds_bucket", ("allow", "+Inf")): 6,
        ("evaluation_seconds_count", ("allow",)): 6,
        ("evaluation_seconds_sum", ("allow",)): 4.5,
    }


def test_unit_is_told_where_the_name_tells_it() -> None:
    openmetrics = "application/openmetrics-text;version=1.0.0"

    assert "# UNIT evaluation_seconds seconds" in written(LATENCY, openmetrics)


def test_unit_that_the_name_does_not_tell_changes_no_name() -> None:
    family = MetricFamily(
        name="latency", kind=MetricKind.GAUGE, help="", unit="seconds", series={(): 1}
    )

    assert samples(family) == {("latency", ()): 1}


@pytest.mark.parametrize("accept", FORMATS)
def test_counter_of_another_name_keeps_it(accept: str) -> None:
    family = MetricFamily(name="odd", kind=MetricKind.COUNTER, help="", series={(): 3})

    assert samples(family, accept) == {("odd", ()): 3}


@pytest.mark.parametrize("value", [-1.5, 1e300, math.inf, -math.inf])
def test_any_value_of_a_gauge_is_shown(value: float) -> None:
    family = MetricFamily(name="g", kind=MetricKind.GAUGE, help="", series={(): value})

    assert samples(family) == {("g", ()): value}


def labelled(kind: MetricKind, *labels: str) -> MetricFamily:
    values: dict[LabelValues, float] = {
        (label,): number for number, label in enumerate(labels, start=1)
    }
    histograms: dict[LabelValues, HistogramValue] = {
        key: HistogramValue((1,), value) for key, value in values.items()
    }
    return MetricFamily(
        name="m_total" if kind is MetricKind.COUNTER else "m",
        kind=kind,
        help="",
        label_names=("agent",),
        series={} if kind is MetricKind.HISTOGRAM else values,
        histograms=histograms if kind is MetricKind.HISTOGRAM else {},
    )


@pytest.mark.parametrize(
    ("kind", "value"), [(MetricKind.COUNTER, 3), (MetricKind.GAUGE, 2), (MetricKind.HISTOGRAM, 3)]
)
def test_labels_that_are_the_same_once_scrubbed_are_one_series(
    kind: MetricKind, value: float
) -> None:
    found = samples(labelled(kind, "é\ud800", "é\\ud800"))

    assert value in found.values()
    assert len({labels[0] for _, labels in found}) == 1


def test_help_with_a_surrogate_or_a_newline_stays_one_line() -> None:
    family = MetricFamily(name="g", kind=MetricKind.GAUGE, help="a\ud800\n# b", series={(): 1})

    assert samples(family) == {("g", ()): 1}


@pytest.mark.fault("P6")
@pytest.mark.parametrize("name", ["", "has\nnewline 1\nforged", "9nine", "a-b"])
def test_name_that_is_none_forges_nothing(name: str) -> None:
    family = MetricFamily(name=name, kind=MetricKind.GAUGE, help="", series={(): 1})

    try:
        lines = written(family).splitlines()
    except ValueError:
        return
    assert [line for line in lines if not line.startswith("#")] == [lines[-1]]
    assert "forged" not in lines[-1].split(" ")


@pytest.mark.fault("P6")
@pytest.mark.parametrize(
    "labels",
    [("a", "a"), ("é", "ü"), ("__name__",), ("\n\n",), ("é_",), ("\ud800",), ("",), ("le",)],
)
@pytest.mark.parametrize("accept", FORMATS)
def test_label_that_no_reader_takes_hides_its_metric_alone(
    labels: tuple[str, ...], accept: str
) -> None:
    family = MetricFamily(
        name="bad",
        kind=MetricKind.HISTOGRAM,
        help="",
        label_names=labels,
        histograms={("x",) * len(labels): HistogramValue((1,), 1)},
    )
    sound = MetricFamily(name="sound", kind=MetricKind.GAUGE, help="", series={(): 1})

    _, body = Renderer(lambda: [family, sound]).render(accept)

    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    assert lines == ["sound 1.0"]


# Any character, lone surrogates among them.
label_values = st.text(st.characters(exclude_categories=()), max_size=20)


@pytest.mark.fault("P6")
@given(label_values, st.sampled_from(list(FORMATS)), st.sampled_from(MetricKind))
def test_no_label_breaks_or_forges_a_line(label: str, accept: str, kind: MetricKind) -> None:
    found = samples(labelled(kind, label), accept)

    expected = label.encode("utf-8", "backslashreplace").decode("utf-8")
    assert {labels[0] for _, labels in found if "+Inf" not in labels} <= {expected}
    assert len(found) == (3 if kind is MetricKind.HISTOGRAM else 1)
