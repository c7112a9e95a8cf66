"""The plugin: its table, where it binds, and what it says when it cannot."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import ConfigError, EventType, Observability
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from tests.plugins.prometheus.served import Served


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def problems(**table: object) -> list[str]:
    where = ("plugins", "prometheus")
    _, found = structure(table, PrometheusConfig, Origin("test.toml"), where)
    return [str(problem) for problem in found]


def test_defaults_are_loopback_and_the_usual_port() -> None:
    plugin = PrometheusPlugin(PrometheusConfig())

    assert plugin.url == "http://127.0.0.1:9464/metrics"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_loopback_hosts_are_accepted(host: str) -> None:
    assert problems(host=host) == []


@pytest.mark.fault("P1")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "metrics.example"])
def test_host_that_others_can_reach_is_refused_unless_allowed(host: str) -> None:
    (problem,) = problems(host=host)

    assert problem.startswith("test.toml: plugins.prometheus.host: expected a loopback address")
    assert "allow_remote = true" in problem
    assert problems(host=host, allow_remote=True) == []


@pytest.mark.parametrize("port", [-1, 65_536])
def test_port_out_of_range_is_told_beside_other_problems(port: int) -> None:
    found = problems(port=port, prot=1, host="0.0.0.0")

    assert len(found) == 3
    assert any("plugins.prometheus.port: expected at" in problem for problem in found)


def test_taken_port_is_told_with_what_to_do(
    make_served: Callable[..., Served], taken_port: int
) -> None:
    served = make_served(port=taken_port)

    with pytest.raises(OSError, match=f":{taken_port} is in use: set plugins"):
        served.start()
    served.plugin.stop()
    with pytest.raises(OSError, match="is in use"):
        served.check()


def test_host_that_is_not_of_this_machine_is_told(make_served: Callable[..., Served]) -> None:
    # 192.0.2.0/24 is kept for documentation (RFC 5737).
    served = make_served(host="192.0.2.1", allow_remote=True)

    with pytest.raises(OSError, match="is no address of this machine: set plugins"):
        served.start()


def test_host_that_is_no_name_is_told(make_served: Callable[..., Served]) -> None:
    served = make_served(host="no such host.invalid", allow_remote=True)

    with pytest.raises(OSError, match="is no address of this machine"):
        served.start()


def test_check_tells_what_would_be_served(
    make_served: Callable[..., Served], free_port: int
) -> None:
    served = make_served(port=free_port)
    said = served.check()
    served.start()

    assert said == f"http://127.0.0.1:{free_port}/metrics can be served"


def test_check_of_any_port_tells_so(make_served: Callable[..., Served]) -> None:
    served = make_served()

    assert served.check() == "a free port of 127.0.0.1 will be picked"
    assert served.plugin.port == 0


def test_ipv6_is_served(make_served: Callable[..., Served]) -> None:
    served = make_served(host="::1")
    try:
        served.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with socket.create_connection(("::1", served.plugin.port), timeout=10) as client:
        client.sendall(b"GET /-/ready HTTP/1.0\r\n\r\n")
        assert b" 200 " in client.recv(1_000)
    assert served.plugin.url.startswith("http://[::1]:")


def test_remote_server_warns_and_answers_to_any_name(
    make_served: Callable[..., Served], caplog: pytest.LogCaptureFixture
) -> None:
    served = make_served(host="0.0.0.0", allow_remote=True)
    served.start()

    assert "other machines can read the metrics" in caplog.text
    assert served.ask(Host="metrics.example").status == 200
    assert served.plugin.url == f"http://127.0.0.1:{served.plugin.port}/metrics"


def test_stop_may_be_called_again(make_served: Callable[..., Served]) -> None:
    served = make_served()
    served.start()
    served.plugin.stop()
    served.plugin.stop()

    assert served.plugin.port == 0


def test_events_show_at_the_next_scrape(make_served: Callable[..., Served]) -> None:
    served = make_served()
    with Observability(plugins=[served.plugin]) as observability:
        observability.bus.record(
            EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a", session_id="s1"
        )
        text = served.ask().text
        assert observability.plugin("prometheus") is served.plugin

    assert (
        'agent_hypervisor_ring_breaches_total{agent_did="did:mesh:a",session_id="s1"} 1.0' in text
    )


@pytest.mark.fault("P3")
def test_plugin_that_cannot_bind_is_down_and_the_others_run(
    make_served: Callable[..., Served], taken_port: int
) -> None:
    blocked, served = make_served(port=taken_port), make_served()
    with Observability(plugins=[blocked.plugin, served.plugin]) as observability:
        assert "is in use" in observability.states()["prometheus"]
        assert served.ask().status == 200


def test_file_tells_all_problems_at_once(tmp_path: Path) -> None:
    file = tmp_path / "hypervisor.toml"
    file.write_text('[plugins.prometheus]\nhost = "0.0.0.0"\nport = 99999\n')

    with pytest.raises(ConfigError) as caught:
        Observability.from_config(file)
    if "not installed" not in str(caught.value):
        assert "2 problems" in str(caught.value)
        assert "hypervisor.toml:2: plugins.prometheus.host: expected a loopback" in str(
            caught.value
        )


@pytest.mark.fault("P7")
def test_counters_only_grow_while_events_are_emitted_and_many_scrape(
    make_served: Callable[..., Served],
) -> None:
    served = make_served()
    event_type = EventType.RING_BREACH_DETECTED
    with Observability(plugins=[served.plugin]) as observability:
        stop = threading.Event()
        emitted = [0, 0]

        def emit(part: int) -> None:
            while not stop.is_set():
                observability.bus.record(event_type, agent_did="a", session_id="s")
                emitted[part] += 1
                time.sleep(0.0001)

        def scrape(seen: list[float]) -> None:
            for _ in range(15):
                families = text_string_to_metric_families(served.ask().text)
                samples = [sample for family in families for sample in family.samples]
                name = "agent_hypervisor_ring_breaches_total"
                seen += [sample.value for sample in samples if sample.name == name]

        seen: list[list[float]] = [[], [], []]
        emitting = [threading.Thread(target=emit, args=(part,)) for part in range(2)]
        scraping = [threading.Thread(target=scrape, args=(one,)) for one in seen]
        for thread in emitting + scraping:
            thread.start()
        for thread in scraping:
            thread.join(60)
        stop.set()
        for thread in emitting:
            thread.join(60)
        last: list[float] = []
        scrape(last)

    for values in seen:
        assert values == sorted(values)
    assert last[-1] == sum(emitted)
