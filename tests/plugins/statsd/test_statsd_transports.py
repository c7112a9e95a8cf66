"""Datagrams and sockets of the system: what arrives, what is lost and told, what a check says."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hypervisor_observability import (
    Config,
    EventType,
    MetricFamily,
    MetricKind,
    Observability,
    PluginContext,
    RetryLater,
)
from hypervisor_observability.config import PluginTable
from hypervisor_statsd import Via, clients
from hypervisor_statsd.clients import UDPClient
from tests.plugins.statsd.plugins import MakePlugin, counter, duration
from tests.plugins.statsd.receivers import Receiver
from tests.plugins.statsd.stream_servers import SECONDS, Serve
from tests.programs import run


@pytest.fixture
def gram(folder: Path) -> Iterator[Callable[[], socket.socket]]:
    """Bind datagram sockets, one after the other, to the same path."""
    with ExitStack() as stack:

        def bind() -> socket.socket:
            path = folder / "s"
            path.unlink(missing_ok=True)
            bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            bound.bind(str(path))
            bound.settimeout(SECONDS)
            return bound

        yield bind


@pytest.mark.fault("S4")
def test_unix_datagrams_are_packed_up_to_eight_kibibytes(
    make_plugin: MakePlugin, gram: Callable[[], socket.socket], folder: Path
) -> None:
    receiver = gram()
    agents = [f"agent-{number:04}" for number in range(700)]
    make_plugin(via=Via.UNIXGRAM, socket=folder / "s").export_metrics([counter(1, *agents)])
    datagrams = [receiver.recv(65_536)]
    while sum(datagram.count(b"\n") + 1 for datagram in datagrams) < 700:
        datagrams.append(receiver.recv(65_536))

    assert all(len(datagram) <= 8_192 for datagram in datagrams)
    assert len(datagrams) == 3


@pytest.mark.fault("S3")
def test_full_queue_of_datagrams_is_waited_for_then_told(
    make_plugin: MakePlugin,
    gram: Callable[[], socket.socket],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "SEND_SECONDS", 0.05)
    receiver = gram()
    plugin = make_plugin(via=Via.UNIXGRAM, socket=folder / "s", max_datagram_bytes=64)
    batch = [duration(number) for number in range(1, 1_001)]
    with pytest.raises(RetryLater, match=r"timed out|temporarily unavailable"):
        plugin.export_spans(batch)
    told = plugin.traffic.lines
    assert plugin.traffic.send_errors == 1

    arrived: list[bytes] = []

    def receive() -> None:
        while len(arrived) < len(batch):
            arrived.extend(receiver.recv(65_536).split(b"\n"))

    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    for _ in range(200):
        try:
            plugin.export_spans(batch)
            break
        except RetryLater:
            continue
    reader.join(SECONDS)

    assert 0 < told < len(batch)
    assert len(arrived) == len(set(arrived)) == len(batch)


def test_slow_server_is_not_taken_for_a_hung_hook(
    make_plugin: MakePlugin, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_statsd.plugin._HOOK_SECONDS", -1)

    with pytest.raises(RetryLater, match="too slowly"):
        make_plugin().export_metrics([counter(1)])
    assert receiver.lines() == []


@pytest.mark.fault("S6")
@pytest.mark.parametrize("via", [Via.UNIX, Via.UNIXGRAM])
def test_missing_socket_is_told_and_found_when_it_comes(
    make_plugin: MakePlugin, folder: Path, via: Via
) -> None:
    path = folder / "s"
    plugin = make_plugin(via=via, socket=path)
    with pytest.raises(RetryLater, match=f"{path}: No such file or directory"):
        plugin.export_metrics([counter(2)])
    path.write_text("no socket")
    with pytest.raises(RetryLater, match=f"{path}: not a socket"):
        plugin.export_metrics([counter(3)])
    path.unlink()
    kind = socket.SOCK_STREAM if via is Via.UNIX else socket.SOCK_DGRAM
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        server.settimeout(SECONDS)
        if via is Via.UNIX:
            server.listen()
        plugin.export_metrics([counter(4)])
        end = server.accept()[0] if via is Via.UNIX else server
        with end:
            arrived = end.recv(1_000).decode()

    assert arrived.splitlines()[0] == "n_total:4|c|#agent:a"
    assert plugin.traffic.send_errors == 2


@pytest.mark.fault("S6")
def test_socket_that_was_replaced_is_found(
    make_plugin: MakePlugin, gram: Callable[[], socket.socket], folder: Path
) -> None:
    old = gram()
    plugin = make_plugin(via=Via.UNIXGRAM, socket=folder / "s")
    plugin.export_metrics([counter(1)])
    new = gram()  # the old one is still open, as after a careless restart
    plugin.export_metrics([counter(3)])

    assert old.recv(1_000) == b"n_total:1|c|#agent:a"
    assert new.recv(1_000) == b"n_total:2|c|#agent:a"


@pytest.mark.fault("S6")
def test_socket_whose_server_is_gone_asks_to_retry(
    make_plugin: MakePlugin, gram: Callable[[], socket.socket], folder: Path
) -> None:
    server = gram()
    plugin = make_plugin(via=Via.UNIXGRAM, socket=folder / "s")
    plugin.export_metrics([counter(1)])
    server.close()

    with pytest.raises(RetryLater, match="Connection refused"):
        plugin.export_metrics([counter(2)])


@pytest.mark.fault("S6")
def test_socket_of_the_other_kind_is_told(
    make_plugin: MakePlugin, gram: Callable[[], socket.socket], folder: Path
) -> None:
    gram()

    with pytest.raises(RetryLater, match="Protocol wrong type for socket"):
        make_plugin(via=Via.UNIX, socket=folder / "s").export_metrics([counter(1)])


@pytest.mark.fault("S3")
def test_late_refusal_is_counted_and_the_next_datagram_goes_over_a_new_socket(
    make_plugin: MakePlugin, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = make_plugin()
    plugin.export_metrics([counter(1)])
    receiver.lines()
    with monkeypatch.context() as patched:
        patched.setattr(UDPClient, "raise_refusal", lambda *_: None)
        refusals = iter([ConnectionRefusedError(111, "Connection refused")])
        send = socket.socket.send

        def refuse_once(self: socket.socket, data: bytes) -> int:
            for refusal in refusals:
                raise refusal
            return send(self, data)

        patched.setattr(socket.socket, "send", refuse_once)
        plugin.export_metrics([counter(3)])

    assert receiver.lines() == ["n_total:2|c|#agent:a"]
    assert plugin.traffic.send_errors == 1


@pytest.mark.fault("S3")
@pytest.mark.parametrize(("number", "text"), [(105, "No buffer space"), (11, "unavailable")])
def test_full_buffer_of_the_system_asks_to_retry_and_is_counted(
    make_plugin: MakePlugin,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    text: str,
) -> None:
    plugin = make_plugin()
    with monkeypatch.context() as patched:

        def refuse(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        patched.setattr(socket.socket, "send", refuse)
        with pytest.raises(RetryLater, match=text):
            plugin.export_metrics([counter(1)])
    plugin.export_metrics([counter(1)])

    assert receiver.lines() == ["n_total:1|c|#agent:a"]
    assert plugin.traffic.send_errors == 1


NO_NETWORK = """
from hypervisor_observability import EventType, Observability
from hypervisor_statsd import StatsDConfig, StatsDPlugin

plugin = StatsDPlugin(StatsDConfig(host="192.0.2.1"))
with Observability(plugins=[plugin]) as observability:
    for _ in range(1_000):
        observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")
    flushed = observability.flush(timeout=20)
    counts = observability.counts()["statsd"]
print(flushed, counts.in_flight + counts.pending + counts.delivered, plugin.traffic.send_errors > 0)
"""


@pytest.mark.fault("S3")
def test_machine_without_a_network_costs_the_application_nothing() -> None:
    unshare = shutil.which("unshare")
    isolated = [unshare or "", "--net"] if os.geteuid() == 0 else [unshare or "", "-rn"]
    if not unshare or run([*isolated, "true"]).returncode:
        pytest.skip("this system lets nobody take a process off its network")

    done = run([*isolated, sys.executable, "-c", NO_NETWORK], timeout=120)

    assert done.stdout == "False 1000 True\n", done.stderr
    assert "Network is unreachable" in done.stderr


@pytest.mark.fault("S4")
def test_burst_leaves_in_few_datagrams_and_is_counted(
    make_plugin: MakePlugin, receiver: Receiver
) -> None:
    receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    plugin = make_plugin()
    batch = [duration(number) for number in range(1, 20_001)]
    plugin.export_spans(batch)
    datagrams = receiver.datagrams()

    # What the receiver had no room for is lost in silence: UDP tells nobody.
    assert 0 < len(datagrams) < plugin.traffic.datagrams
    assert all(len(datagram) <= 1_432 for datagram in datagrams)
    assert plugin.traffic.lines == 20_000
    assert plugin.traffic.datagrams < 1_000


@pytest.mark.fault("S3")
def test_loss_is_told_to_the_server_when_it_is_there_again(
    make_plugin: MakePlugin, receiver: Receiver
) -> None:
    plugin = make_plugin(sample_rate=0.5)
    batch = [duration(number) for number in range(1, 1_001)]
    plugin.export_spans(batch)
    bad = MetricFamily(name="g", kind=MetricKind.GAUGE, help="", series={(): float("nan")})
    for _ in range(3):  # each tells what was lost before it
        plugin.export_metrics([bad])
    lines = [line for text in receiver.datagrams() for line in text.split("\n")]
    told = sum(line.startswith("agent_hypervisor.saga.step:") for line in lines)

    prefix = "agent_hypervisor_observability_statsd_left_out_total"
    assert f"{prefix}:{1_000 - told}|c|#reason:sampled" in lines
    assert lines.count(f"{prefix}:1|c|#reason:not_finite") == 2


@pytest.mark.parametrize("via", Via)
def test_check_says_how_it_was_reached(
    make_plugin: MakePlugin, serve: Serve, folder: Path, context: PluginContext, via: Via
) -> None:
    path = folder / "s"
    kind = socket.SOCK_STREAM if via.is_stream else socket.SOCK_DGRAM
    family = socket.AF_UNIX if via.is_local else socket.AF_INET
    with socket.socket(family, kind) as server:
        server.bind(str(path) if via.is_local else ("127.0.0.1", 0))
        if via.is_stream:
            server.listen()
        where = {"socket": path} if via.is_local else {"port": server.getsockname()[1]}
        said = make_plugin(via=via, **where).check(context)

    assert said.startswith("StatsD at ")
    assert ("proves little" if via is Via.UDP else f"{via.value}: connected") in said


def test_check_of_a_missing_socket_names_the_key(
    make_plugin: MakePlugin, folder: Path, context: PluginContext
) -> None:
    with pytest.raises(OSError, match=r"or set plugins\.statsd\.socket"):
        make_plugin(via=Via.UNIX, socket=folder / "s").check(context)


DIES = """
import os, sys
from hypervisor_observability import Config, EventType, Observability
from hypervisor_journal import JournalConfig

journal, port = sys.argv[1:]
tables = {"statsd": {"port": int(port), "interval_seconds": 3600.0}}
observability = Observability(Config(plugins={"journal": {"directory": journal}, **tables}))
observability.start()
for _ in range(3):
    observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")
os._exit(0)
"""


@pytest.mark.fault("S7")
def test_events_of_an_earlier_process_are_counted_and_not_told_as_of_now(
    receiver: Receiver, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DIES, str(tmp_path / "journal"), str(receiver.port)]
    subprocess.run(command, check=True, timeout=120)
    config = Config(
        plugins={
            "journal": {"directory": tmp_path / "journal"},
            "statsd": PluginTable("statsd", {"port": receiver.port}),
        },
    )
    with Observability(config) as observability:
        for _ in range(2):
            observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="did:mesh:a")
        assert observability.flush(timeout=SECONDS)
        counts = observability.counts()["statsd"]
    said = [line for line in receiver.lines() if "ring_breaches_total:" in line]

    assert (counts.emitted, counts.delivered, counts.dropped) == (5, 2, {"not_replayed": 3})
    assert [line.partition("|")[0] for line in said] == ["agent_hypervisor_ring_breaches_total:2"]
