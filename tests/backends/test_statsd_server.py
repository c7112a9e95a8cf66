"""The real StatsD shows what the plugin sent, with the right values."""

from collections.abc import Iterator

import pytest

from hypervisor_observability import (
    EventType,
    MetricKind,
    Observability,
)
from hypervisor_observability.testing import context_for
from hypervisor_statsd import StatsDConfig, StatsDPlugin, TagDialect, Via
from tests.backends.servers import StatsDServer
from tests.plugins.statsd.plugins import MakePlugin, duration, family, making_plugins
from tests.waiting import wait_until

pytestmark = pytest.mark.backend


@pytest.fixture
def make_plugin(statsd_server: StatsDServer) -> Iterator[MakePlugin]:
    with making_plugins(port=statsd_server.port) as make:
        yield make


def bad_lines(server: StatsDServer) -> float:
    return server.numbers("counters")["statsd.bad_lines_seen"]


def test_counter_adds_up_under_its_name_and_tags(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    plugin = make_plugin()
    for total in (2, 5):
        plugin.export_metrics([family("tagged_total", MetricKind.COUNTER, total, "did:mesh:a")])

    name = "tagged_total;agent=did_mesh_a"
    wait_until(lambda: statsd_server.numbers("counters").get(name) == 5)


@pytest.mark.parametrize("via", [Via.TCP, Via.UNIX])
def test_thousand_counters_arrive_over_a_stream(
    statsd_server: StatsDServer, make_plugin: MakePlugin, via: Via
) -> None:
    before = bad_lines(statsd_server)
    where = {"port": statsd_server.tcp_port} if via is Via.TCP else {"socket": statsd_server.socket}
    plugin = make_plugin(via=via, tags=TagDialect.NONE, prefix=via.value, **where)
    agents = [f"agent-{number}" for number in range(1_000)]
    for total in (1, 3):
        plugin.export_metrics([family("stream_total", MetricKind.COUNTER, total, *agents)])

    def shown() -> list[float]:
        counters = statsd_server.numbers("counters")
        return [counters.get(f"{via.value}.stream_total.{agent}", 0) for agent in agents]

    wait_until(lambda: shown() == [3] * 1_000, timeout=30)
    assert "connected" in plugin.check(context_for("statsd"))
    assert bad_lines(statsd_server) == before


def test_rate_of_durations_is_understood(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    plugin = make_plugin(sample_rate=0.5, prefix="sampled")
    before = bad_lines(statsd_server)
    spans = [duration(number) for number in range(1, 101)]
    plugin.export_spans(spans)

    name = "sampled.agent_hypervisor.saga.step;action=validate;status=ok"
    wait_until(lambda: len(statsd_server.timers().get(name, [])) == plugin.traffic.lines)
    assert 0 < plugin.traffic.lines < 100
    assert bad_lines(statsd_server) == before


def test_counter_adds_up_under_its_folded_name(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    plugin = make_plugin(tags=TagDialect.NONE, prefix="acme.prod")
    for total in (0.5, 2):
        plugin.export_metrics([family("folded_total", MetricKind.COUNTER, total, "did:mesh:a")])

    name = "acme.prod.folded_total.did_mesh_a"
    wait_until(lambda: statsd_server.numbers("counters").get(name) == 2)


def test_gauges_show_their_last_value_negative_ones_too(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    plugin = make_plugin(tags=TagDialect.NONE)
    for value in (7, -5, -2.5):
        plugin.export_metrics([family("level", MetricKind.GAUGE, value, "a")])

    wait_until(lambda: statsd_server.numbers("gauges").get("level.a") == -2.5)


def test_durations_show_as_timers(make_plugin: MakePlugin, statsd_server: StatsDServer) -> None:
    make_plugin(prefix="timed").export_spans([duration(1), duration(2)])

    name = "timed.agent_hypervisor.saga.step;action=validate;status=ok"
    wait_until(lambda: statsd_server.timers().get(name) == [1.5, 3])


# StatsD does not know Influx's tags: they would be a part of the name.
@pytest.mark.parametrize("tags", [TagDialect.DOGSTATSD, TagDialect.NONE])
def test_hostile_labels_forge_nothing(
    make_plugin: MakePlugin, statsd_server: StatsDServer, tags: TagDialect
) -> None:
    before = bad_lines(statsd_server)
    hostile = [
        "a\nforged:1|c",
        "b|c\nforged:2|g",
        "c#,forged:1",
        "\ud800\0;d=e",
        "@0.1",
        "f" * 9_999,
    ]
    name = f"hostile_{tags.value}_total"
    make_plugin(tags=tags).export_metrics([family(name, MetricKind.COUNTER, 1, *hostile)])

    def shown() -> dict[str, float]:
        counters = statsd_server.numbers("counters")
        return {key: value for key, value in counters.items() if key.startswith(name)}

    wait_until(lambda: len(shown()) == len(hostile))
    assert set(shown().values()) == {1}
    assert "forged" not in statsd_server.numbers("counters")
    assert "forged" not in statsd_server.numbers("gauges")
    assert bad_lines(statsd_server) == before


def test_thousand_counters_arrive_packed(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    before = statsd_server.numbers("counters")["statsd.packets_received"]
    agents = [f"agent-{number}" for number in range(1_000)]
    make_plugin().export_metrics([family("many_total", MetricKind.COUNTER, 1, *agents)])

    def arrived() -> int:
        return sum(key.startswith("many_total") for key in statsd_server.numbers("counters"))

    wait_until(lambda: arrived() == 1_000)
    assert statsd_server.numbers("counters")["statsd.packets_received"] - before < 50


def test_check_finds_it_and_leaves_nothing_behind(
    make_plugin: MakePlugin, statsd_server: StatsDServer
) -> None:
    before = bad_lines(statsd_server)

    assert f"127.0.0.1:{statsd_server.port}" in make_plugin().check(context_for("statsd"))
    assert bad_lines(statsd_server) == before


def test_events_of_an_application_arrive(statsd_server: StatsDServer) -> None:
    plugin = StatsDPlugin(StatsDConfig(port=statsd_server.port, prefix="application"))
    with Observability(plugins=[plugin]) as observability:
        for _ in range(4):
            observability.bus.record(
                EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a", session_id="s1"
            )
        assert observability.flush(timeout=10)

    name = "application.agent_hypervisor_ring_breaches_total;agent_did=did_mesh_a;session_id=s1"
    wait_until(lambda: statsd_server.numbers("counters").get(name) == 4)
