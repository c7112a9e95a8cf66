"""The server of the metrics: what a scrape gets, and when it gets none."""

import logging
from collections.abc import Callable

import pytest

from hypervisor_observability import MetricFamily, MetricKind
from tests.plugins.prometheus.served import Served


def gauge(value: float, *labels: str) -> MetricFamily:
    return MetricFamily(
        name="test_value",
        kind=MetricKind.GAUGE,
        help="A value",
        label_names=("agent",),
        series={(label,): value for label in labels or ("a",)},
    )


def test_scrape_shows_the_present_state(served: Served) -> None:
    served.metrics.families = [gauge(1)]
    first = served.ask().text
    served.metrics.families = [gauge(2)]

    assert 'test_value{agent="a"} 1.0' in first
    assert 'test_value{agent="a"} 2.0' in served.ask().text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_format_is_the_one_that_the_client_accepts(
    served: Served, accept: str, content_type: str
) -> None:
    answer = served.ask(Accept=accept)

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(content_type)


@pytest.mark.parametrize(
    ("path", "word"), [("/", "/metrics"), ("/-/healthy", "healthy"), ("/-/ready", "ready")]
)
def test_small_pages_answer(served: Served, path: str, word: str) -> None:
    answer = served.ask(path)

    assert answer.status == 200
    assert word in answer.text


@pytest.mark.parametrize("path", ["/metrics/", "/admin", "/..//metrics", "*"])
def test_unknown_path_is_not_found(served: Served, path: str) -> None:
    assert served.ask(path).status == 404


def test_broken_metrics_are_an_error_of_one_scrape(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:

    def fail() -> None:
        raise RuntimeError("secret detail")

    served.metrics.before_collecting = fail
    answer = served.ask()
    served.metrics.before_collecting = lambda: None

    assert answer.status == 500
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text
    assert served.ask().status == 200


def test_family_that_cannot_be_shown_hides_no_other(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    unnamed = MetricFamily(name="", kind=MetricKind.GAUGE, help="", series={(): 1})
    huge = MetricFamily(name="h", kind=MetricKind.GAUGE, help="", series={(): 10**400})
    served.metrics.families = [unnamed, huge, gauge(7)]

    assert "} 7.0" in served.ask().text
    assert "metric 'h' cannot be shown" in caplog.text


@pytest.mark.fault("P6")
def test_hostile_labels_do_not_break_a_scrape(served: Served) -> None:
    served.metrics.families = [gauge(1, "\ud800", "\0", 'a"\n}', "\\", "é" * 50_000)]

    assert served.ask().text.count("test_value{") == 5


def test_port_can_be_served_again_at_once(make_served: Callable[..., Served]) -> None:
    first = make_served()
    first.start()
    assert first.ask().status == 200
    port = first.plugin.port
    first.plugin.stop()
    second = make_served(port=port)
    second.start()

    assert second.plugin.port == port
    assert second.ask().status == 200


def fail_with(text: str) -> Callable[[], None]:
    def fail() -> None:
        raise RuntimeError(text)

    return fail


def test_failing_metrics_are_told_at_a_limited_rate(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.metrics.before_collecting = fail_with("no")
    answers = {served.ask().status for _ in range(20)}

    assert answers == {500}
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1
