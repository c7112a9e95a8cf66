"""The HTTP server against clients that mean well, and others."""

import gzip
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hypervisor_observability import MetricFamily, MetricKind
from hypervisor_prometheus import PrometheusPlugin
from hypervisor_prometheus.connections import Connections
from hypervisor_prometheus.requests import SiteHandler
from hypervisor_prometheus.server import MAX_CONNECTIONS, MetricsServer

if TYPE_CHECKING:
    from tests.plugins.prometheus.conftest import Served


WIDE_SECONDS = 30
"""Far above what anything here takes; whoever waits so long hangs."""


def gauge(value: float, *labels: str) -> MetricFamily:
    return MetricFamily(
        name="test_value",
        kind=MetricKind.GAUGE,
        help="A value",
        label_names=("agent",),
        series={(label,): value for label in labels or ("a",)},
    )


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WIDE_SECONDS)


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def raw_answer(port: int, request: bytes) -> bytes:
    with connect(port) as client:
        client.sendall(request)
        return read_all(client)


def server_of(plugin: PrometheusPlugin) -> MetricsServer:
    assert plugin._server is not None
    return plugin._server


def test_scrape_shows_the_present_state(served: "Served") -> None:
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
    served: "Served", accept: str, content_type: str
) -> None:
    answer = served.ask(Accept=accept)

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(content_type)


def test_answer_is_compressed_for_those_who_take_it(served: "Served") -> None:
    served.metrics.families = [gauge(1)]
    plain = served.ask()
    compressed = served.ask(Accept_Encoding="br, gzip;q=0.5")

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body


@pytest.mark.parametrize("refusing", ["gzip;q=0", "gzip; q=0.000", "br", "identity"])
def test_answer_is_plain_for_those_who_do_not_take_gzip(served: "Served", refusing: str) -> None:
    assert "Content-Encoding" not in served.ask(Accept_Encoding=refusing).headers


def test_head_tells_the_length_and_sends_no_body(served: "Served") -> None:
    served.metrics.families = [gauge(1)]
    head, get = served.ask(method="HEAD"), served.ask()

    assert head.status == 200
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(get.body))


@pytest.mark.parametrize(
    ("path", "word"), [("/", "/metrics"), ("/-/healthy", "healthy"), ("/-/ready", "ready")]
)
def test_small_pages_answer(served: "Served", path: str, word: str) -> None:
    answer = served.ask(path)

    assert answer.status == 200
    assert word in answer.text


@pytest.mark.parametrize("path", ["/metrics/", "/admin", "/..//metrics", "*"])
def test_unknown_path_is_not_found(served: "Served", path: str) -> None:
    assert served.ask(path).status == 404


def test_query_of_the_address_is_no_part_of_the_path(served: "Served") -> None:
    assert served.ask("/metrics?name[]=x").status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(served: "Served", method: str) -> None:
    answer = served.ask(method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("length", ["-5", "x", "9" * 30])
def test_nonsense_about_a_body_is_passed_over(served: "Served", length: str) -> None:
    request = f"POST /metrics HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode()

    assert b" 405 " in raw_answer(served.plugin.port, request)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:9464", "LOCALHOST", "[::1]:80", "127.8.8.8"]
)
def test_names_of_this_machine_are_served(served: "Served", host: str) -> None:
    assert served.ask(Host=host).status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:9464", "[", "", "10.0.0.1"])
def test_name_that_was_pointed_at_this_machine_is_refused(served: "Served", host: str) -> None:
    served.metrics.families = [gauge(1)]
    answer = served.ask(Host=host)

    assert answer.status == 403
    assert "test_value" not in answer.text


def test_client_without_host_is_served(served: "Served") -> None:
    assert b" 200 " in raw_answer(served.plugin.port, b"GET /metrics HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\xff\xfe\r\n\r\n", b" 400 "),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b" 414 "),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b" 431 "),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", b" 431 "),
        (b"GET / HTTP/9.9\r\n\r\n", b" 505 "),
    ],
)
def test_malformed_request_is_told_so(served: "Served", request_: bytes, status: bytes) -> None:
    answer = raw_answer(served.plugin.port, request_)

    # A request that was not read to its end may reset the connection before the answer.
    assert status in answer or answer == b""
    assert served.ask().status == 200


def test_broken_metrics_are_an_error_of_one_scrape(
    served: "Served", caplog: pytest.LogCaptureFixture
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
    served: "Served", caplog: pytest.LogCaptureFixture
) -> None:
    unnamed = MetricFamily(name="", kind=MetricKind.GAUGE, help="", series={(): 1})
    huge = MetricFamily(name="h", kind=MetricKind.GAUGE, help="", series={(): 10**400})
    served.metrics.families = [unnamed, huge, gauge(7)]

    assert "} 7.0" in served.ask().text
    assert "metric 'h' cannot be shown" in caplog.text


@pytest.mark.fault("P6")
def test_hostile_labels_do_not_break_a_scrape(served: "Served") -> None:
    served.metrics.families = [gauge(1, "\ud800", "\0", 'a"\n}', "\\", "é" * 50_000)]

    assert served.ask().text.count("test_value{") == 5


@pytest.mark.fault("P2")
def test_silent_clients_do_not_keep_a_scrape_out(served: "Served") -> None:
    silent = [connect(served.plugin.port) for _ in range(3 * MAX_CONNECTIONS)]
    try:
        threads = [thread for thread in threading.enumerate() if "process_request" in thread.name]
        answers = [served.ask().status for _ in range(5)]
    finally:
        for client in silent:
            client.close()

    assert answers == [200] * 5
    assert len(threads) <= MAX_CONNECTIONS


def test_silent_client_is_let_go(served: "Served", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.05)
    with connect(served.plugin.port) as client:
        assert read_all(client) == b""


def test_more_clients_than_there_are_places_are_told_to_come_back(
    make_served: Callable[..., "Served"],
) -> None:
    served = make_served()
    served.start()
    release, inside = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        inside.release()
        release.wait(WIDE_SECONDS)

    served.metrics.before_collecting = hold
    clients = [connect(served.plugin.port) for _ in range(MAX_CONNECTIONS)]
    try:
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert inside.acquire(timeout=WIDE_SECONDS)
        with connect(served.plugin.port) as late:
            refusal = read_all(late)
        release.set()
        answers = [read_all(client) for client in clients]
    finally:
        release.set()
        for client in clients:
            client.close()

    assert b" 503 " in refusal
    assert all(b" 200 " in answer for answer in answers)


def test_client_that_resets_is_nobody_s_trouble(
    served: "Served", caplog: pytest.LogCaptureFixture, wait_until: Callable[..., None]
) -> None:
    served.metrics.families = [gauge(1, *(f"agent-{number}" for number in range(50_000)))]
    caplog.set_level(logging.DEBUG)
    with connect(served.plugin.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    wait_until(lambda: "went away" in caplog.text, timeout=WIDE_SECONDS)

    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_fault_of_a_request_is_logged_and_stays_there(
    served: "Served", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(SiteHandler, "do_GET", lambda _: 1 / 0)
        assert raw_answer(served.plugin.port, b"GET / HTTP/1.0\r\n\r\n") == b""

    assert "ZeroDivisionError" in caplog.text
    assert served.ask().status == 200


def test_system_without_another_thread_loses_one_request(
    served: "Served", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("socketserver.threading.Thread.start", refuse)
        with connect(served.plugin.port) as client:
            assert read_all(client) == b""

    assert served.ask().status == 200
    assert "can't start new thread" in caplog.text


def test_stop_hangs_up_on_clients_and_frees_the_port(
    make_served: Callable[..., "Served"], wait_until: Callable[..., None]
) -> None:
    served = make_served()
    served.start()
    port = served.plugin.port
    before = time.monotonic()
    with connect(port) as client:
        wait_until(lambda: server_of(served.plugin).connections._open)
        served.plugin.stop()
        assert read_all(client) == b""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    assert time.monotonic() - before < WIDE_SECONDS


def test_port_can_be_served_again_at_once(make_served: Callable[..., "Served"]) -> None:
    first = make_served()
    first.start()
    assert first.ask().status == 200
    port = first.plugin.port
    first.plugin.stop()
    second = make_served(port=port)
    second.start()

    assert second.plugin.port == port
    assert second.ask().status == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside threads: that is the test
def test_stop_in_a_forked_child_neither_waits_nor_disturbs_the_parent(served: "Served") -> None:
    child = os.fork()
    if child == 0:
        try:
            served.plugin.stop()
        finally:
            os._exit(0)
    deadline = time.monotonic() + WIDE_SECONDS
    done = 0
    while not done and time.monotonic() < deadline:
        done, _ = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not done:
        os.kill(child, 9)
        os.waitpid(child, 0)

    assert done
    assert served.ask().status == 200


def test_connection_that_is_served_is_not_evicted() -> None:
    connections = Connections(1)
    served, its_client = socket.socketpair()
    late, late_client = socket.socketpair()
    with served, its_client, late, late_client:
        assert connections.admit(served)
        connections.serve(served)

        assert not connections.admit(late)
        served.sendall(b"whole")
        assert its_client.recv(10) == b"whole"
        connections.release(served)
        assert connections.admit(late)
