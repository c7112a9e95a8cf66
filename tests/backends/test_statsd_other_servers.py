"""statsd_exporter shows tags and every type as meant; collectd takes all that it should."""

from collections.abc import Iterator

import pytest
from attrs import evolve

from hypervisor_observability import (
    EventType,
    FinishedSpan,
    MetricKind,
    Observability,
)
from hypervisor_statsd import DurationType, StatsDConfig, StatsDPlugin, TagDialect, Via
from tests.backends.servers import Collectd, StatsDExporter
from tests.plugins.statsd.plugins import MakePlugin, duration, family, making_plugins
from tests.waiting import wait_until

pytestmark = pytest.mark.backend

SECONDS = 30
HOSTILE = [
    "a\nforged:1|c",
    "b|c\nforged:2|g",
    "c#,forged:1",
    "\ud800\0;d=e",
    "@0.1",
    "f" * 9_999,
    "g,h=i:j",
    "\u202eä\r\n",
]


@pytest.fixture
def make_plugin() -> Iterator[MakePlugin]:
    with making_plugins() as make:
        yield make


def durations(count: int, milliseconds: float = 2) -> list[FinishedSpan]:
    end_ns = int(milliseconds * 1e6)
    spans = (
        duration(number, name="agent", scope="agent", attributes={})
        for number in range(1, count + 1)
    )
    return [evolve(span, end_ns=end_ns) for span in spans]


def where(server: StatsDExporter, via: Via) -> dict[str, object]:
    if via is Via.UNIXGRAM:
        return {"via": via, "socket": server.socket}
    return {"via": via, "port": server.port if via is Via.UDP else server.tcp_port}


@pytest.mark.parametrize("tags", [TagDialect.DOGSTATSD, TagDialect.INFLUX])
@pytest.mark.parametrize("via", [Via.UDP, Via.TCP, Via.UNIXGRAM])
def test_exporter_shows_counters_and_gauges_with_their_labels(
    make_plugin: MakePlugin, statsd_exporter: StatsDExporter, via: Via, tags: TagDialect
) -> None:
    bad = statsd_exporter.bad_lines()
    prefix = f"{via.value}_{tags.value}"
    plugin = make_plugin(tags=tags, prefix=prefix, **where(statsd_exporter, via))
    for total in (2, 5):
        plugin.export_metrics(
            [
                family("n_total", MetricKind.COUNTER, total, "did:mesh:a", "b"),
                family("level", MetricKind.GAUGE, 1.5 - total, "b"),
            ]
        )

    expected = {
        f'{prefix}_n_total{{agent="did_mesh_a"}}': 5,
        f'{prefix}_n_total{{agent="b"}}': 5,
        f'{prefix}_level{{agent="b"}}': -3.5,
    }
    wait_until(lambda: statsd_exporter.samples(prefix) == expected, timeout=SECONDS)
    assert statsd_exporter.bad_lines() == bad
    assert plugin.traffic.send_errors == 0


@pytest.mark.parametrize(
    ("type_", "seconds"),
    # A timer is in milliseconds, which it turns into seconds; other observations it leaves.
    [(DurationType.TIMER, 0.002), (DurationType.HISTOGRAM, 2), (DurationType.DISTRIBUTION, 2)],
)
def test_exporter_shows_durations_as_histograms(
    make_plugin: MakePlugin, statsd_exporter: StatsDExporter, type_: DurationType, seconds: float
) -> None:
    bad = statsd_exporter.bad_lines()
    plugin = make_plugin(port=statsd_exporter.port, prefix=type_.value, durations=type_)
    plugin.export_spans(durations(10))

    name = f"{type_.value}_agent_hypervisor_agent"
    count = f'{name}_count{{status="ok"}}'
    wait_until(lambda: statsd_exporter.samples(name).get(count) == 10, timeout=SECONDS)
    samples = statsd_exporter.samples(name)
    assert samples[f'{name}_sum{{status="ok"}}'] == pytest.approx(10 * seconds)
    assert samples[f'{name}_bucket{{status="ok",le="1"}}'] == (10 if seconds < 1 else 0)
    assert samples[f'{name}_bucket{{status="ok",le="5"}}'] == 10
    assert statsd_exporter.bad_lines() == bad


def test_exporter_scales_what_was_sampled(
    make_plugin: MakePlugin, statsd_exporter: StatsDExporter
) -> None:
    plugin = make_plugin(port=statsd_exporter.port, prefix="sampled", sample_rate=0.25)
    plugin.export_spans(durations(400))

    name = 'sampled_agent_hypervisor_agent_count{status="ok"}'
    expected = plugin.traffic.lines * 4
    wait_until(lambda: statsd_exporter.samples().get(name) == expected, timeout=SECONDS)
    assert 200 < expected < 600


@pytest.mark.fault("S1")
@pytest.mark.parametrize("tags", [TagDialect.DOGSTATSD, TagDialect.INFLUX])
def test_exporter_is_not_deceived_by_hostile_labels(
    make_plugin: MakePlugin, statsd_exporter: StatsDExporter, tags: TagDialect
) -> None:
    bad = statsd_exporter.bad_lines()
    name = f"hostile_{tags.value}_total"
    plugin = make_plugin(port=statsd_exporter.port, tags=tags)
    plugin.export_metrics([family(name, MetricKind.COUNTER, 1, *HOSTILE)])

    wait_until(lambda: len(statsd_exporter.samples(name)) == len(HOSTILE), timeout=SECONDS)
    assert set(statsd_exporter.samples(name).values()) == {1}
    assert statsd_exporter.samples("forged") == {}
    assert statsd_exporter.bad_lines() == bad


def test_exporter_shows_what_an_application_does(statsd_exporter: StatsDExporter) -> None:
    config = StatsDConfig(prefix="app", via=Via.UNIXGRAM, socket=statsd_exporter.socket)
    with Observability(plugins=[StatsDPlugin(config)]) as observability:
        for _ in range(4):
            observability.bus.record(
                EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a", session_id="s1"
            )
        assert observability.flush(timeout=SECONDS)

    name = 'app_agent_hypervisor_ring_breaches_total{agent_did="did_mesh_a",session_id="s1"}'
    wait_until(lambda: statsd_exporter.samples().get(name) == 4, timeout=SECONDS)


def test_collectd_takes_everything_where_labels_are_folded(
    make_plugin: MakePlugin, collectd: Collectd
) -> None:
    plugin = make_plugin(port=collectd.port, tags=TagDialect.NONE, prefix="cd", sample_rate=0.5)
    for total in (2, 5):
        plugin.export_metrics(
            [
                family("n_total", MetricKind.COUNTER, total, "did:mesh:a"),
                family("level", MetricKind.GAUGE, 1.5 - total, "b"),
                family("hostile", MetricKind.COUNTER, total, *HOSTILE),
            ]
        )
    plugin.export_spans(durations(50))

    level = "gauge-cd.level.b"
    wait_until(lambda: collectd.values("cd.level").get(level) == -3.5, timeout=SECONDS)
    wait_until(lambda: len(collectd.values("derive-cd.hostile")) == len(HOSTILE), timeout=SECONDS)
    wait_until(lambda: collectd.values("latency-cd.agent_hypervisor"), timeout=SECONDS)
    name = "derive-cd.n_total.did_mesh_a"
    wait_until(lambda: collectd.values(name) == {name: 5}, timeout=SECONDS)
    assert "Unable to parse" not in collectd.log
    assert collectd.values("-forged") == {}


def test_collectd_says_what_it_refuses(make_plugin: MakePlugin, collectd: Collectd) -> None:
    plugin = make_plugin(port=collectd.port, prefix="tagged")
    plugin.export_metrics([family("n_total", MetricKind.COUNTER, 1, "a")])

    refused = 'Unable to parse line: "tagged.n_total:1|c|#agent:a"'
    wait_until(lambda: refused in collectd.log, timeout=SECONDS)
