"""TCP and Unix streams: what arrives, and what happens when the server goes, hangs or changes."""

import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hypervisor_observability import (
    RetryLater,
)
from hypervisor_observability.network import Address
from hypervisor_statsd import StatsDConfig, Via, clients
from hypervisor_statsd.clients import PartlySentError
from hypervisor_statsd.transport import Server, Transport
from tests.plugins.statsd.plugins import MakePlugin, counter

if TYPE_CHECKING:
    pass
from tests.plugins.statsd.stream_servers import SECONDS, Serve, read


def without_losses(lines: list[str]) -> list[str]:
    return [line for line in lines if "_statsd_" not in line]


def test_lines_arrive_over_tcp_and_one_connection(make_plugin: MakePlugin, serve: Serve) -> None:
    server = serve(("127.0.0.1", 0))
    plugin = make_plugin(via=Via.TCP, port=server.port)
    for total in (2, 5):
        plugin.export_metrics([counter(total)])
    plugin.flush()

    assert read(server.accept(), 2) == ["n_total:2|c|#agent:a", "n_total:3|c|#agent:a"]


def test_lines_arrive_over_a_unix_stream(
    make_plugin: MakePlugin, serve: Serve, folder: Path
) -> None:
    server = serve(str(folder / "s"))
    make_plugin(via=Via.UNIX, socket=folder / "s").export_metrics([counter(2)])

    assert read(server.accept(), 1) == ["n_total:2|c|#agent:a"]


@pytest.mark.fault("S3")
def test_server_that_was_started_again_gets_all_over_tcp(
    make_plugin: MakePlugin, serve: Serve
) -> None:
    first = serve(("127.0.0.1", 0))
    port = first.port
    plugin = make_plugin(via=Via.TCP, port=port)
    plugin.export_metrics([counter(1)])
    assert read(first.accept(), 1)
    first.close()

    with pytest.raises(RetryLater, match="Connection refused"):
        plugin.export_metrics([counter(3)])
    second = serve(("127.0.0.1", port))
    plugin.export_metrics([counter(6)])

    assert without_losses(read(second.accept(), 1)) == ["n_total:5|c|#agent:a"]
    assert plugin.traffic.send_errors == 2  # the closed connection, and the refused one


@pytest.mark.fault("S3")
def test_connection_that_the_server_has_closed_is_not_written_to(
    make_plugin: MakePlugin, serve: Serve
) -> None:
    server = serve(("127.0.0.1", 0))
    plugin = make_plugin(via=Via.TCP, port=server.port)
    plugin.export_metrics([counter(1)])
    connection = server.accept()
    assert read(connection, 1)
    connection.close()
    plugin.export_metrics([counter(3)])

    assert without_losses(read(server.accept(), 1)) == ["n_total:2|c|#agent:a"]
    server.close()
    with pytest.raises(RetryLater, match=r"closed the connection|reset"):
        plugin.flush()


@pytest.mark.slow
@pytest.mark.fault("S3")
@pytest.mark.parametrize("via", [Via.TCP, Via.UNIX])
def test_lines_that_a_full_stream_took_whole_are_not_sent_again(
    make_plugin: MakePlugin,
    serve: Serve,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    via: Via,
) -> None:
    monkeypatch.setattr(clients, "SEND_SECONDS", 0.05)
    server = serve(str(folder / "s") if via is Via.UNIX else ("127.0.0.1", 0))
    where = {"socket": folder / "s"} if via is Via.UNIX else {"port": server.port}
    plugin = make_plugin(via=via, max_datagram_bytes=65_507, **where)
    agents = [f"agent-{number:06}" for number in range(300_000)]
    family = counter(1, *agents)

    with pytest.raises(RetryLater, match="timed out"):
        plugin.export_metrics([family])
    told = plugin.traffic.lines
    assert 0 < told < len(agents)

    arrived: list[str] = []

    def receive() -> None:
        while len(set(arrived)) < len(agents):
            data = b""
            connection = server.accept()
            while part := connection.recv(1 << 20):
                data += part
                if data.count(b"\n") + len(arrived) >= len(agents):
                    break
            # What is torn at the end of a connection is no line.
            whole = data.decode("ascii").split("\n")[:-1]
            arrived.extend(line for line in whole if line.startswith("n_total"))

    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    monkeypatch.setattr(clients, "SEND_SECONDS", 10.0)
    for _ in range(20):
        try:
            plugin.export_metrics([family])
            break
        except RetryLater:
            continue
    reader.join(SECONDS)

    assert sorted(arrived) == [f"n_total:1|c|#agent:{agent}" for agent in agents]


@pytest.mark.fault("S3")
@pytest.mark.parametrize(("taken", "whole"), [(1, 0), (21, 0), (22, 1), (43, 1), (44, 2), (65, 2)])
def test_line_that_a_stream_has_torn_is_sent_again_and_no_other(
    make_plugin: MakePlugin,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
    whole: int,
) -> None:
    server = serve(("127.0.0.1", 0))
    plugin = make_plugin(via=Via.TCP, port=server.port)
    family = counter(1, "a1", "a2", "a3")
    every = [f"n_total:1|c|#agent:a{number}" for number in (1, 2, 3)]
    assert {len(text) + 1 for text in every} == {22}
    with monkeypatch.context() as patched:
        send, parts = socket.socket.send, iter([taken])

        def take_a_part(self: socket.socket, data: bytes) -> int:
            for part in parts:
                return send(self, data[:part])
            raise TimeoutError("timed out")

        patched.setattr(socket.socket, "send", take_a_part)
        with pytest.raises(RetryLater, match="timed out"):
            plugin.export_metrics([family])
    plugin.export_metrics([family])

    assert server.accept().recv(1_000) == ("\n".join(every) + "\n").encode()[:taken]
    rest = without_losses(read(server.accept(), 4 - whole))
    assert rest == every[whole:]


def test_part_of_a_first_text_is_not_sent_to_another_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "SEND_SECONDS", 2.0)
    server = serve(("127.0.0.1", 0))
    transport = Transport(Server(StatsDConfig(via=Via.TCP, port=server.port)))

    with pytest.raises(PartlySentError) as caught:
        transport.send("x" * 50_000_000)
    assert 0 < caught.value.sent_bytes < 50_000_000
    assert transport.traffic.send_errors == 1


@pytest.mark.fault("S3")
def test_server_that_reads_a_few_bytes_at_a_time_holds_up_no_hook(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "SEND_SECONDS", 3.0)  # time to begin, on a busy machine
    server = serve(("127.0.0.1", 0))
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stopped = threading.Event()

    def drip() -> None:
        connection = server.accept()
        while not stopped.is_set():
            connection.recv(50_000)
            stopped.wait(0.1)

    reader = threading.Thread(target=drip, daemon=True)
    reader.start()
    transport = Transport(Server(StatsDConfig(via=Via.TCP, port=server.port)))
    began = time.monotonic()
    try:
        with pytest.raises(PartlySentError):
            transport.send("x" * 40_000_000)
        assert time.monotonic() - began < SECONDS / 2
    finally:
        stopped.set()
        reader.join(SECONDS)
        transport.close()


def test_first_address_that_drops_packets_leaves_time_for_the_second(
    serve: Serve, black_hole: int
) -> None:
    server = serve(("127.0.0.1", 0))

    def resolve(*_: object) -> list[Address]:
        ports = (black_hole, server.port)
        return [Address(socket.AF_INET, ("127.0.0.1", port)) for port in ports]

    config = StatsDConfig(via=Via.TCP, host="two.example")
    transport = Transport(Server(config, resolve))
    transport.send("n_total:1|c")

    assert read(server.accept(), 1) == ["n_total:1|c"]
    transport.close()
