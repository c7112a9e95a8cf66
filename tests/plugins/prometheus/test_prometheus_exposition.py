"""What is written straight equals what prometheus_client's encoders write."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import parser as openmetrics

from hypervisor_observability import (
    CausalTraceId,
    Exemplar,
    HistogramValue,
    MetricFamily,
    MetricKind,
)
from hypervisor_prometheus.conversion import to_metric
from hypervisor_prometheus.exposition import Dialect, dialect_of, exposition

# What Prometheus 2 and 3 send, curl, and what asks for the older format.
ACCEPTED = [
    "",
    "*/*",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.1",
]
label_values = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    ["did:mesh:a", 'a"b', "a\\n", "a\nb", "%s", "{}"]
)
label_names = st.lists(
    st.sampled_from(["agent", "session", "b", "B", "_", "a1", "z", "é", "le", "__x", ""]),
    max_size=4,
    unique=True,
)
names = st.sampled_from(
    ["up", "a_total", "_total", "total", "x_seconds", "x_seconds_total", "a:b", "a.b", "x_created"]
)
numbers = (
    st.floats()
    | st.integers(-(10**20), 10**20)
    | st.sampled_from([999_999.5, 1e6, 1e15, 1e16, 1e21, 1e-5, 123456789.125])
)


exemplars = st.none() | st.builds(
    Exemplar,
    st.sampled_from(
        ["a1b2c3d4e5f6/a1b2c3d4", "abc/def", "4bf92f3577b34da6a3ce929d0e0e4736/1", "", "}"]
    ),
    st.floats(allow_nan=False),
    st.integers(0, 2 * 10**18),
)


@st.composite
def families(draw: st.DrawFn) -> MetricFamily:
    names_ = tuple(draw(label_names))
    kind = draw(st.sampled_from(MetricKind))
    keys = st.tuples(*(label_values for _ in names_))
    bounds = tuple(sorted(draw(st.sets(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 5e6]), max_size=3))))
    counts = st.tuples(*(st.integers(0, 10**7) for _ in range(len(bounds) + 1)))
    values = st.builds(HistogramValue, counts, numbers)
    histogram = kind is MetricKind.HISTOGRAM
    series = {} if histogram else draw(st.dictionaries(keys, numbers, max_size=4))
    histograms = draw(st.dictionaries(keys, values, max_size=3)) if histogram else {}
    examples = st.tuples(*[exemplars] * (len(bounds) + 1 if histogram else 1))
    # A gauge has none.
    exemplified = [] if kind is MetricKind.GAUGE else [*series, *histograms]
    return MetricFamily(
        name=draw(names),
        kind=kind,
        help=draw(st.sampled_from(["Help.", 'a "b"\n\\', "", "é"])),
        unit=draw(st.sampled_from(["", "seconds"])),
        label_names=names_,
        series=series,
        histograms=histograms,
        bounds=bounds if histogram else (),
        exemplars={key: draw(examples) for key in exemplified if draw(st.booleans())},
    )


class Metrics:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        return self._metrics


def ordinary(**changes: object) -> MetricFamily:
    values = {
        "name": "a_total",
        "kind": MetricKind.COUNTER,
        "help": "Help.",
        "label_names": ("session", "agent"),
        "series": {("s", "a"): 1_234_567, ("s", "b"): 0.5},
    }
    return MetricFamily(**{**values, **changes})  # type: ignore[arg-type]  # the keys vary


def encoded(shown: list[MetricFamily], accept: str) -> tuple[bytes, str]:
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(Metrics([to_metric(family) for family in shown]))
    return encode(registry), content_type


@given(st.lists(families(), max_size=3), st.sampled_from(ACCEPTED))
@example([ordinary(), ordinary(name="n", kind=MetricKind.GAUGE, series={("", '"'): math.inf})], "")
def test_what_is_written_is_what_the_encoders_write(shown: list[MetricFamily], accept: str) -> None:
    _, content_type = choose_encoder(accept)
    dialect = dialect_of(content_type)
    assert dialect is not None

    text = exposition(shown, dialect)

    assert text is None or text == encoded(shown, accept)[0]


@pytest.mark.parametrize("accept", ACCEPTED)
@pytest.mark.parametrize(
    "family",
    [
        ordinary(),
        ordinary(series={("s", 'a"\\\n'): math.nan}),
        ordinary(label_names=(), series={(): 1}),
        ordinary(name="g_seconds", kind=MetricKind.GAUGE, unit="seconds"),
        ordinary(
            kind=MetricKind.HISTOGRAM,
            name="h",
            series={},
            histograms={("s", "a"): HistogramValue((1, 2), 0.5)},
            bounds=(1.0,),
        ),
        ordinary(name="odd"),
        ordinary(exemplars={("s", "b"): (Exemplar("t/s", 0.5, 1_700_000_000_123_456_789),)}),
        ordinary(name="odd", exemplars={("s", "b"): (Exemplar("t/s", 0.5, 1),)}),
        ordinary(
            kind=MetricKind.HISTOGRAM,
            name="h",
            series={},
            histograms={("s", "a"): HistogramValue((1, 2), 0.5)},
            bounds=(1.0,),
            exemplars={("s", "a"): (None, Exemplar("t/s", 0.5, 1))},
        ),
    ],
    ids=lambda family: f"{family.kind.value} {family.name}",
)
def test_ordinary_families_are_written_straight(family: MetricFamily, accept: str) -> None:
    expected, content_type = encoded([family], accept)
    dialect = dialect_of(content_type)

    assert dialect is not None
    assert exposition([family], dialect) == expected


@pytest.mark.parametrize(
    "family",
    [
        ordinary(name="a.b"),
        ordinary(name="a:b"),
        ordinary(name="a\n"),
        ordinary(name="_total"),
        ordinary(label_names=("a", "b c")),
        ordinary(label_names=("a", "a")),
        ordinary(label_names=("__a", "b")),
        ordinary(label_names=("a",)),
        ordinary(series={("s", "\ud800"): 1}),
        ordinary(series={("s", "a"): "many"}),
        ordinary(series={("s", 5): 1}),
        ordinary(series={("s", "a"): 10**400}),
        ordinary(help="\ud800"),
        ordinary(kind=MetricKind.HISTOGRAM, label_names=("a", "le")),
        ordinary(kind=MetricKind.HISTOGRAM, bounds=(-1.0, 1.0)),
        ordinary(
            kind=MetricKind.HISTOGRAM,
            bounds=(1.0,),
            series={},
            histograms={("s", "a"): HistogramValue((1,), 1)},
        ),
    ],
)
@pytest.mark.parametrize("dialect", Dialect)
def test_whatever_is_not_ordinary_is_left_to_the_encoders(
    family: MetricFamily, dialect: Dialect
) -> None:
    assert exposition([ordinary(name="before"), family], dialect) is None


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; version=1.0.0; charset=utf-8; escaping=dots",
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
        "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=underscores",
        "application/json",
    ],
)
def test_other_formats_are_left_to_the_encoders(content_type: str) -> None:
    assert dialect_of(content_type) is None


@pytest.mark.parametrize("accept", ACCEPTED)
def test_exemplar_shows_the_w3c_ids_where_the_format_has_exemplars(accept: str) -> None:
    trace = CausalTraceId()
    example = Exemplar(trace.full_id, 0.5, 1_700_000_000_500_000_000)
    family = ordinary(exemplars={("s", "a"): (example,)})
    text = encoded([family], accept)[0].decode()

    trace_id, span_id = trace.to_w3c()
    shown = f'# {{span_id="{span_id}",trace_id="{trace_id}"}} 0.5 1700000000.5'
    assert (shown in text) == accept.startswith("application/openmetrics")
    if shown in text:
        (parsed,) = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs has no types
        exemplar = next(sample.exemplar for sample in parsed.samples if sample.exemplar)
        assert exemplar.labels == {"trace_id": trace_id, "span_id": span_id}
