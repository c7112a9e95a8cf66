"""What is told of counters, gauges, histograms and spans."""

import math
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import HistogramValue, MetricFamily, MetricKind
from hypervisor_observability.metrics.families import LabelValues
from hypervisor_statsd.lines import Line, LineFormat
from hypervisor_statsd.readings import Readings

FORMAT = LineFormat()


def counter(*totals: float) -> MetricFamily:
    series: dict[LabelValues, float] = {
        (f"a{number}",): total for number, total in enumerate(totals)
    }
    return MetricFamily(
        name="n_total", kind=MetricKind.COUNTER, help="", label_names=("agent",), series=series
    )


def texts(*families: MetricFamily, told: MetricFamily | None = None) -> list[str]:
    readings = Readings(FORMAT)
    if told is not None:
        sent(readings.lines([told])[0])
    return [text for text, *_ in readings.lines(families)[0]]


def sent(lines: list[Line]) -> None:
    for _, series, total in lines:
        if series is not None:
            series.told = total


def test_counter_is_told_by_what_came_since() -> None:
    assert texts(counter(5, 1), told=counter(2)) == [
        "n_total:3|c|#agent:a0",
        "n_total:1|c|#agent:a1",
    ]


def test_counter_that_did_not_move_is_not_told() -> None:
    assert texts(counter(2, 0), told=counter(2)) == []


def test_counter_that_fell_has_begun_anew() -> None:
    assert texts(counter(1), told=counter(9)) == ["n_total:1|c|#agent:a0"]


@given(st.lists(st.integers(0, 1_000), min_size=1))
def test_differences_add_up_to_the_total(gains: list[int]) -> None:
    readings = Readings(FORMAT)
    told = total = 0
    for gain in gains:
        total += gain
        lines, _ = readings.lines([counter(total)])
        told += sum(int(text.partition(":")[2].partition("|")[0]) for text, *_ in lines)
        sent(lines)

    assert told == total


def test_what_was_not_sent_is_told_again() -> None:
    readings = Readings(FORMAT)
    first, _ = readings.lines([counter(5, 1)])
    sent(first[:1])

    again, _ = readings.lines([counter(5, 4)])

    assert [text for text, *_ in again] == ["n_total:4|c|#agent:a1"]


def test_series_that_are_gone_are_forgotten() -> None:
    readings = Readings(FORMAT)
    for families in ([counter(5, 1)], [counter(5)], [counter(6, 1)], []):
        sent(readings.lines(families)[0])
    lines, _ = readings.lines([counter(6)])
    sent(lines)

    assert [text for text, *_ in lines] == ["n_total:6|c|#agent:a0"]
    assert [list(series) for series in readings.series.values()] == [[("a0",)]]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.booleans()), max_size=30))
def test_series_that_moves_between_agents_is_reported_once(
    moves: list[tuple[int, int, bool]],
) -> None:
    """Two agents, of which one has the series at a time: what both tell adds up to the total."""
    agents = Readings(FORMAT), Readings(FORMAT)
    total = told = 0
    owner, begun_at = 0, 0
    for to, gain, was_seen_to_go in moves:
        if to != owner:
            if was_seen_to_go:
                agents[owner].lines([evolve(counter(0), series={})])
            owner, begun_at = to, total
        total += gain
        family = evolve(counter(total), taken_over=dict.fromkeys(counter(total).series, begun_at))
        lines, _ = agents[owner].lines([family])
        sent(lines)
        told += sum(int(text.partition(":")[2].partition("|")[0]) for text, *_ in lines)
    assert told == total


def test_series_that_is_taken_over_again_with_less_begins_there() -> None:
    """An agent was fenced: another one has counted its last events, and told of them."""
    readings = Readings(FORMAT)
    sent(readings.lines([counter(10)])[0])
    (labels,) = counter(8).series
    family = evolve(counter(9), taken_over={labels: 8})
    assert [text for text, *_ in readings.lines([family])[0]] == texts(counter(1))


def test_histogram_that_was_taken_over_is_reported_from_there() -> None:
    family = MetricFamily(
        name="seconds", kind=MetricKind.HISTOGRAM, help="", bounds=(1.0,),
        histograms={(): HistogramValue((3, 2), 9.0)},
        taken_over={(): HistogramValue((3, 1), 7.5)},
    )  # fmt: skip
    alone = evolve(family, histograms={(): HistogramValue((0, 1), 1.5)}, taken_over={})
    assert texts(family) == texts(alone)


def test_counter_below_zero_is_not_told() -> None:
    assert texts(counter(-1)) == []


def test_gauge_is_told_as_it_is_each_time() -> None:
    gauge = MetricFamily(name="g", kind=MetricKind.GAUGE, help="", series={(): 0})

    assert texts(gauge) == texts(gauge) == ["g:0|g"]


def test_histogram_is_told_as_its_count_and_its_sum() -> None:
    def histogram(*counts: int, total: float) -> MetricFamily:
        return MetricFamily(
            name="latency_ms",
            kind=MetricKind.HISTOGRAM,
            help="",
            label_names=("decision",),
            histograms={("allow",): HistogramValue(counts, total)},
            bounds=(0.5, 1.0),
        )

    assert texts(histogram(1, 2, 3, total=4.5), told=histogram(1, 2, 1, total=4)) == [
        "latency_ms_count:2|c|#decision:allow",
        "latency_ms_sum:0.5|c|#decision:allow",
    ]


@pytest.mark.fault("S2")
@pytest.mark.parametrize("kind", [MetricKind.COUNTER, MetricKind.GAUGE])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, None, "7", []])
def test_value_that_is_no_finite_number_is_left_out_and_told(kind: MetricKind, value: Any) -> None:
    bad = MetricFamily(
        name="n", kind=kind, help="", label_names=("a",), series={("x",): value, ("y",): 1}
    )
    lines, unsendable = Readings(FORMAT).lines([bad])

    assert [text for text, *_ in lines] == [f"n:1|{kind.value[0]}|#a:y"]
    assert unsendable == {"n": 1}


def test_counter_that_grows_beyond_any_float_is_left_out_alone() -> None:
    readings = Readings(FORMAT)

    def families(total: float) -> list[MetricFamily]:
        one = MetricFamily(name="one", kind=MetricKind.COUNTER, help="", series={(): total})
        other = MetricFamily(name="other", kind=MetricKind.GAUGE, help="", series={(): 2.0})
        return [one, other]

    for _, series, total in readings.lines(families(0.5))[0]:
        if series is not None:
            series.told = total
    lines, left_out = readings.lines(families(10**400))

    assert [text for text, _, _ in lines] == ["other:2|g"]
    assert left_out == {"one": 1}
