"""The plugin over real UDP sockets: what arrives, and what happens when nobody listens."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor_observability import (
    EventType,
    MetricFamily,
    MetricKind,
    Observability,
    PluginContext,
    RetryLater,
    SpanStatus,
)
from hypervisor_observability.config.structuring import Origin, structure
from hypervisor_observability.network import Deadline
from hypervisor_statsd import StatsDConfig, StatsDPlugin, TagDialect, Via
from hypervisor_statsd.clients import UDPClient
from hypervisor_statsd.transport import Transport
from tests.plugins.statsd.plugins import MakePlugin, counter, duration
from tests.plugins.statsd.receivers import Receiver


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A UDP port that nobody listens on, and that nobody else can take."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        # Connected elsewhere, so what others send to the port is refused.
        holder.connect(("127.0.0.1", port))
        yield port


def problems(**table: object) -> list[str]:
    _, found = structure(table, StatsDConfig, Origin("test.toml"), ("plugins", "statsd"))
    return [str(problem) for problem in found]


def test_counters_arrive_as_differences(make_plugin: MakePlugin, receiver: Receiver) -> None:
    plugin = make_plugin()
    for total in (2, 2, 5):
        plugin.export_metrics([counter(total)])

    assert receiver.lines() == ["n_total:2|c|#agent:a", "n_total:3|c|#agent:a"]


def test_series_that_went_and_came_back_begins_anew(
    make_plugin: MakePlugin, receiver: Receiver
) -> None:
    plugin = make_plugin()
    plugin.export_metrics([counter(5)])
    plugin.export_metrics([])
    plugin.export_metrics([counter(6)])

    assert receiver.lines() == ["n_total:5|c|#agent:a", "n_total:6|c|#agent:a"]


def test_spans_arrive_as_timers(make_plugin: MakePlugin, receiver: Receiver) -> None:
    span = duration(status=SpanStatus.UNSET)

    make_plugin(tags=TagDialect.NONE, prefix="acme").export_spans([span])

    assert receiver.lines() == ["acme.agent_hypervisor.saga.step.validate.unset:1.5|ms"]


def test_datagrams_are_packed_up_to_the_bound(make_plugin: MakePlugin, receiver: Receiver) -> None:
    agents = [f"agent-{number}" for number in range(500)]
    make_plugin().export_metrics([counter(1, *agents)])
    datagrams = receiver.datagrams()

    assert sum(datagram.count("\n") + 1 for datagram in datagrams) == 500
    assert all(len(datagram) <= 1_432 for datagram in datagrams)
    assert len(datagrams) < 15


@pytest.mark.fault("S3")
def test_nobody_listening_asks_to_retry_and_keeps_the_difference(
    make_plugin: MakePlugin, receiver: Receiver
) -> None:
    plugin = make_plugin()
    plugin.export_metrics([counter(1)])
    port = receiver.port
    receiver.lines()
    receiver.socket.close()
    for _ in range(2):
        with pytest.raises(RetryLater, match=f"127.0.0.1:{port}: Connection refused"):
            plugin.export_metrics([counter(4)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
        again.settimeout(10)
        plugin.export_metrics([counter(6)])

        assert again.recv(1_000).split(b"\n") == [
            b"n_total:5|c|#agent:a",
            # Each time the old socket and a fresh one were refused, or the fresh one alone.
            b"agent_hypervisor_observability_statsd_send_errors_total:3|c",
        ]


def test_what_was_sent_before_a_failure_is_not_sent_again(
    make_plugin: MakePlugin, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = make_plugin(max_datagram_bytes=64)
    family = counter(1, "a" * 40, "b" * 40, "c" * 40)
    send = Transport.send
    sent: list[str] = []

    def fail_at_the_second(self: Transport, datagram: str, deadline: Deadline) -> None:
        sent.append(datagram)
        if len(sent) == 2:
            raise OSError(105, "No buffer space available")
        send(self, datagram, deadline)

    monkeypatch.setattr(Transport, "send", fail_at_the_second)
    with pytest.raises(RetryLater, match="No buffer space available"):
        plugin.export_metrics([family])
    plugin.export_metrics([family])

    assert sorted(line[-40] for line in receiver.lines()) == ["a", "b", "c"]


def test_unknown_host_asks_to_retry(make_plugin: MakePlugin) -> None:
    plugin = make_plugin(host="no such host.invalid")

    with pytest.raises(RetryLater, match=r"no such host\.invalid:\d+: "):
        plugin.export_spans([duration()])


def test_flush_tells_a_late_refusal(
    make_plugin: MakePlugin, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = make_plugin()
    plugin.flush()
    plugin.export_metrics([counter(1)])
    plugin.flush()
    receiver.socket.close()
    with monkeypatch.context() as patched:
        # As over a network: the refusal comes when the call has returned.
        patched.setattr(UDPClient, "raise_refusal", lambda *_: None)
        plugin.export_metrics([counter(2)])

    with pytest.raises(RetryLater, match="Connection refused"):
        plugin.flush()
    plugin.flush()


@pytest.mark.fault("S2")
def test_value_that_is_not_finite_is_logged_and_hides_no_other(
    make_plugin: MakePlugin, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bad = MetricFamily(name="g", kind=MetricKind.GAUGE, help="", series={(): float("nan")})
    make_plugin().export_metrics([bad, counter(1)])

    assert receiver.lines() == ["n_total:1|c|#agent:a"]
    assert "left out values that are not finite: g" in caplog.text


def test_ipv6_is_sent_to(make_plugin: MakePlugin) -> None:
    try:
        bound = socket.create_server(("::1", 0), family=socket.AF_INET6)
        bound.close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener:
        listener.bind(("::1", 0))
        listener.settimeout(10)
        make_plugin(host="::1", port=listener.getsockname()[1]).export_metrics([counter(1)])

        assert listener.recv(1_000) == b"n_total:1|c|#agent:a"


def test_address_without_a_route_is_told(make_plugin: MakePlugin) -> None:
    # UDP sockets may not broadcast unless they ask to.
    plugin = make_plugin(host="255.255.255.255")

    with pytest.raises(RetryLater, match=r"255\.255\.255\.255"):
        plugin.export_metrics([counter(1)])


def test_check_tells_what_was_reached_and_sends_nothing_that_counts(
    receiver: Receiver, context: PluginContext
) -> None:
    said = StatsDPlugin(StatsDConfig(port=receiver.port)).check(context)

    assert said.startswith(f"StatsD at 127.0.0.1:{receiver.port} (UDP")
    assert receiver.datagrams() == ["\n"]


def test_check_tells_that_nobody_listens_and_what_to_do(
    closed_port: int, context: PluginContext
) -> None:
    plugin = StatsDPlugin(StatsDConfig(port=closed_port))

    with pytest.raises(OSError, match="Connection refused: see that a StatsD server") as caught:
        plugin.check(context)
    assert "plugins.statsd.port" in str(caught.value)


def test_check_of_an_ipv6_address_names_it_in_brackets(context: PluginContext) -> None:
    # 2001:db8::/32 is kept for documentation (RFC 3849).
    plugin = StatsDPlugin(StatsDConfig(host="2001:db8::1", port=9))

    try:
        said = plugin.check(context)
    except OSError as error:
        said = str(error)
    assert "[2001:db8::1]:9" in said


def test_stop_may_be_called_before_anything_was_sent() -> None:
    plugin = StatsDPlugin(StatsDConfig())
    plugin.export_metrics([])
    plugin.stop()
    plugin.stop()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""),
        ("port", 0),
        ("port", 65_536),
        ("prefix", "a b"),
        ("prefix", "acme."),
        ("prefix", "a\nb:1|c"),
        ("prefix", "p" * 101),
        ("tags", "librato"),
        ("via", "carrier pigeon"),
        ("via", "unix"),
        ("via", "unixgram"),
        ("socket", "/run/statsd.sock"),
        ("durations", "d"),
        ("sample_rate", 0.0),
        ("sample_rate", 1.5),
        ("lookup_seconds", 0),
        ("max_datagram_bytes", 10),
        ("max_datagram_bytes", 70_000),
    ],
)
def test_value_out_of_range_is_a_problem_of_its_key(key: str, value: object) -> None:
    (problem,) = problems(**{key: value})

    assert problem.startswith(f"test.toml: plugins.statsd.{key}: ")


def test_path_that_no_socket_can_have_is_a_problem() -> None:
    (problem,) = problems(via="unix", socket="/tmp/" + "p" * 103)

    assert problem.startswith("test.toml: plugins.statsd.socket: ")
    with pytest.raises(ValueError, match="none of them NUL"):
        StatsDConfig(via=Via.UNIX, socket=Path("/tmp/a\0b"))


@pytest.mark.parametrize("tags", ["influx", "none"])
@pytest.mark.parametrize("durations", ["histogram", "distribution"])
def test_type_of_dogstatsd_is_refused_for_other_servers(tags: str, durations: str) -> None:
    (problem,) = problems(tags=tags, durations=durations)

    assert "set tags = 'dogstatsd', or 'timer'" in problem


@pytest.mark.parametrize(
    ("via", "packed_bytes"), [("udp", 1_432), ("tcp", 8_192), ("unix", 8_192), ("unixgram", 8_192)]
)
def test_as_much_is_packed_as_the_transport_bears(via: str, packed_bytes: int) -> None:
    path = Path("/run/statsd.sock") if via.startswith("unix") else None

    assert StatsDConfig(via=Via(via), socket=path).packed_bytes == packed_bytes
    assert StatsDConfig(max_datagram_bytes=508, via=Via(via), socket=path).packed_bytes == 508


def test_table_with_every_key_is_taken() -> None:
    assert (
        problems(
            host="stats.example",
            port=9125,
            prefix="acme.prod",
            tags="dogstatsd",
            max_datagram_bytes=508,
            via="tcp",
            durations="distribution",
            sample_rate=0.5,
            lookup_seconds=10,
        )
        == problems(via="unixgram", socket="/run/statsd.sock")
        == []
    )


def test_flush_of_the_application_delivers_counters_and_durations(
    make_plugin: MakePlugin, receiver: Receiver
) -> None:
    with Observability(plugins=[StatsDPlugin(make_plugin().config)]) as observability:
        saga = {"saga_id": "deploy", "step_id": "1", "step_action": "validate"}
        for event_type in (EventType.SAGA_STEP_STARTED, EventType.SAGA_STEP_COMMITTED):
            observability.bus.record(event_type, payload=saga)
        observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")

        assert observability.flush(timeout=10)
        assert observability.counts()["statsd"].delivered == 3
    lines = receiver.lines()

    assert (
        "agent_hypervisor_ring_breaches_total:1|c|#agent_did:did_mesh_a,session_id:unknown" in lines
    )
    assert any(line.startswith("agent_hypervisor.saga.step:") for line in lines)
