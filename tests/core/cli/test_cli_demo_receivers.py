"""The backends and the comparison inside the demonstration find what is missing."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Counts, EventType, HypervisorEventBus, Recorder
from hypervisor_observability.cli.demo import backends as demo_backends
from hypervisor_observability.cli.demo.backends import (
    SpanBackend,
    StatsDBackend,
    embedded_backends,
    scrape,
)
from hypervisor_observability.cli.demo.comparison import Emitted, compare_spans, compare_types
from hypervisor_observability.cli.demo.report import PluginReport, judge, law_broken
from hypervisor_observability.delivery.counts import UNWANTED
from hypervisor_observability.metrics.activity import EVENTS
from hypervisor_statsd.receiver import StatsDReceiver
from tests.http_servers import Handler, serving

ALL_WELL = Counts(emitted=5, delivered=5, rejected=0, dropped={}, in_flight=0, pending=0)


@frozen
class Arrived:
    """A span as a receiver gives it."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str | None


def recorded() -> Emitted:
    """What a small run of a saga emits: three spans."""
    bus = HypervisorEventBus()
    recorder = Recorder(bus)
    with recorder.agent("did:mesh:ada"), recorder.saga("release") as saga, saga.step("build"):
        pass
    return Emitted.of(bus.all_events)


def arrived(emitted: Emitted) -> list[Arrived]:
    return [Arrived(name, *key) for key, name in emitted.spans.items()]


# The scrape


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Answer with *body*, or with no HTTP at all where *status* is 0."""

    class Answering(Handler):
        def do_GET(self) -> None:
            if status:
                self.answer(status, body)
            else:
                self.wfile.write(b"no HTTP\r\n\r\n")

    with serving(HTTPServer(("127.0.0.1", 0), Answering)) as port:
        yield f"http://127.0.0.1:{port}/metrics"


def test_scrape_reads_one_counter_by_its_label() -> None:
    text = b"""# HELP events_total Events
# TYPE events_total counter
events_total{event_type="saga.created"} 3.0
events_total{event_type="a \\"b\\""} 1.0
events_total_created{event_type="saga.created"} 1.7e9
others_total{event_type="saga.created"} 9.0
"""
    with answering(200, text) as url:
        assert scrape(url, "events_total") == {"saga.created": 3, 'a \\"b\\"': 1}


@pytest.mark.parametrize(("status", "said"), [(500, "500"), (0, "BadStatusLine")])
def test_scrape_that_fails_says_why(status: int, said: str) -> None:
    with answering(status, b"") as url, pytest.raises(OSError, match=said):
        scrape(url, "events_total")


# The comparison


def test_everything_that_arrived_makes_no_difference() -> None:
    emitted = recorded()

    spans = compare_spans(emitted, arrived(emitted), "seen")
    types = compare_types(emitted, emitted.types, "seen")

    assert (spans.received, spans.emitted, spans.differences) == (3, 3, ())
    assert (types.received, types.emitted, types.differences) == (6, 6, ())
    assert emitted.open_spans == 0


@given(st.data())
def test_span_that_is_lost_is_named(data: st.DataObject) -> None:
    emitted = recorded()
    spans = arrived(emitted)
    lost = spans.pop(data.draw(st.integers(0, len(spans) - 1)))

    result = compare_spans(emitted, spans, "seen")

    assert result.received == 2
    assert len(result.differences) == 1
    assert lost.name in result.differences[0]
    assert "did not arrive" in result.differences[0]


def test_span_under_another_parent_is_a_difference() -> None:
    emitted = recorded()
    first, *others = arrived(emitted)

    result = compare_spans(emitted, [evolve(first, parent_span_id="ab" * 8), *others], "seen")

    assert len(result.differences) == 2
    assert "never emitted" in result.differences[1]


def test_span_that_comes_twice_is_a_difference() -> None:
    emitted = recorded()
    spans = arrived(emitted)

    (difference,) = compare_spans(emitted, [*spans, spans[0]], "seen").differences

    assert "arrived 2 times" in difference


@given(st.sampled_from(sorted(recorded().types)), st.integers(-3, 3).filter(bool))
def test_count_that_differs_is_named(event_type: str, change: int) -> None:
    emitted = recorded()
    got = Counter(emitted.types)
    got[event_type] += change

    (difference,) = compare_types(emitted, got, "seen").differences

    assert difference.startswith(f"{event_type}: emitted {emitted.types[event_type]}, received ")


def test_span_that_never_ends_is_counted(bus: HypervisorEventBus) -> None:
    bus.record(EventType.SAGA_CREATED, payload={"saga_id": "s"})

    assert Emitted.of(bus.all_events).open_spans == 1


# The counts


@given(
    st.fixed_dictionaries(
        {key: st.integers(0, 9) for key in ("delivered", "rejected", "in_flight", "pending")}
    ),
    st.dictionaries(st.sampled_from(["overflow", "filtered"]), st.integers(0, 9)),
    st.integers(-5, 5),
)
def test_law_holds_only_if_the_figures_add_up(
    figures: dict[str, int], dropped: dict[str, int], missing: int
) -> None:
    emitted = sum(figures.values()) + sum(dropped.values()) + missing
    counts = Counts(emitted=emitted, dropped=dropped, **figures)

    assert bool(law_broken(counts)) == bool(missing)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        (evolve(ALL_WELL, delivered=4), "the counts do not add up"),
        (evolve(ALL_WELL, delivered=3, rejected=2), "2 events were rejected"),
        (evolve(ALL_WELL, delivered=3, pending=1, in_flight=1), "2 events still wait"),
        (evolve(ALL_WELL, delivered=4, dropped={"overflow": 1}), "1 events were dropped"),
    ],
)
def test_figures_that_say_something_is_lost_are_a_problem(counts: Counts, problem: str) -> None:
    report = judge("statsd", "running", counts, None)

    assert len(report.problems) == 1
    assert report.problems[0].startswith(problem)


@pytest.mark.parametrize("reason", UNWANTED)
def test_events_that_the_backend_was_not_to_have_are_no_problem(reason: str) -> None:
    report = judge("otel", "running", evolve(ALL_WELL, delivered=2, dropped={reason: 3}), None)

    assert report.problems == ()
    assert report.line().startswith("otel: delivered 2 of 5 events, dropped 3 (as counted here")


def test_line_tells_what_was_rejected_and_what_waits() -> None:
    counts = evolve(ALL_WELL, delivered=1, rejected=2, in_flight=1, pending=1)

    assert "dropped 0, rejected 2, pending 2 (" in judge("otel", "running", counts, None).line()


def test_plugin_that_is_down_says_why() -> None:
    counts = evolve(ALL_WELL, delivered=0, dropped={"down": 5})
    report = judge("prometheus", "down: 127.0.0.1:9464 is in use", counts, None)

    assert report.line() == "prometheus: down: 127.0.0.1:9464 is in use"
    assert report.problems == ("down: 127.0.0.1:9464 is in use",)
    assert PluginReport(name="otel", state="not installed").line() == "otel: not installed"


# The backends


def test_backend_that_is_not_started_has_no_address() -> None:
    backend = SpanBackend()
    backend.stop()

    with pytest.raises(RuntimeError, match="not started"):
        backend.table()


def test_lost_durations_and_garbage_are_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_backends, "ARRIVAL_SECONDS", 0.01)
    emitted = recorded()
    backend = StatsDBackend(StatsDReceiver())
    for event_type, count in emitted.types.items():
        backend.receiver.keep(f"{EVENTS}:{count}|c|#event_type:{event_type}\nbroken".encode())
    backend.receiver.keep(b"span:1|ms\nspan:1|ms")

    result = backend.received(emitted, None)

    assert result.received == result.emitted
    assert result.differences == (
        "durations: 3 spans ended, received 2",
        f"{len(emitted.types)} lines are not in StatsD's format",
    )


def test_each_of_our_plugins_has_a_backend() -> None:
    assert list(embedded_backends()) == ["prometheus", "otel", "statsd", "jaeger"]
