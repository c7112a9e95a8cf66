"""The HTTP server against clients that mean well, and others."""

import gzip
import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import pytest

from hypervisor_observability import MetricFamily, MetricKind
from hypervisor_observability.serving import connections as connections_module
from hypervisor_observability.serving.connections import Connections
from hypervisor_observability.serving.requests import SiteHandler
from hypervisor_observability.serving.server import SiteServer
from hypervisor_prometheus import PrometheusPlugin
from tests.plugins.prometheus.served import Served
from tests.waiting import wait_until

MAX_CONNECTIONS = 16

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


def server_of(plugin: PrometheusPlugin) -> SiteServer:
    assert plugin._server is not None
    return plugin._server


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


def test_answer_is_compressed_for_those_who_take_it(served: Served) -> None:
    served.metrics.families = [gauge(1)]
    plain = served.ask()
    compressed = served.ask(Accept_Encoding="br, gzip;q=0.5")

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body


@pytest.mark.parametrize("refusing", ["gzip;q=0", "gzip; q=0.000", "br", "identity"])
def test_answer_is_plain_for_those_who_do_not_take_gzip(served: Served, refusing: str) -> None:
    assert "Content-Encoding" not in served.ask(Accept_Encoding=refusing).headers


def test_head_tells_the_length_and_sends_no_body(served: Served) -> None:
    served.metrics.families = [gauge(1)]
    head, get = served.ask(method="HEAD"), served.ask()

    assert head.status == 200
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(get.body))


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


def test_query_of_the_address_is_no_part_of_the_path(served: Served) -> None:
    assert served.ask("/metrics?name[]=x").status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    answer = served.ask(method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("length", ["-5", "x", "9" * 30])
def test_nonsense_about_a_body_is_passed_over(served: Served, length: str) -> None:
    request = f"POST /metrics HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode()

    assert b" 405 " in raw_answer(served.plugin.port, request)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:9464", "LOCALHOST", "[::1]:80", "127.8.8.8"]
)
def test_names_of_this_machine_are_served(served: Served, host: str) -> None:
    assert served.ask(Host=host).status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:9464", "", "10.0.0.1"])
def test_name_that_was_pointed_at_this_machine_is_refused(served: Served, host: str) -> None:
    served.metrics.families = [gauge(1)]
    answer = served.ask(Host=host)

    assert answer.status == 421
    assert "test_value" not in answer.text


def test_client_without_host_is_served(served: Served) -> None:
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
def test_malformed_request_is_told_so(served: Served, request_: bytes, status: bytes) -> None:
    answer = raw_answer(served.plugin.port, request_)

    # A request that was not read to its end may reset the connection before the answer.
    assert status in answer or answer == b""
    assert served.ask().status == 200


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


@pytest.mark.fault("P2")
def test_silent_clients_do_not_keep_a_scrape_out(served: Served) -> None:
    silent = [connect(served.plugin.port) for _ in range(3 * MAX_CONNECTIONS)]
    try:
        threads = [thread for thread in threading.enumerate() if "process_request" in thread.name]
        answers = [served.ask().status for _ in range(5)]
    finally:
        for client in silent:
            client.close()

    assert answers == [200] * 5
    assert len(threads) <= MAX_CONNECTIONS


def test_silent_client_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.05)
    with connect(served.plugin.port) as client:
        assert read_all(client) == b""


def test_more_clients_than_there_are_places_are_told_to_come_back(
    make_served: Callable[..., Served],
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
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.metrics.families = [gauge(1, *(f"agent-{number}" for number in range(50_000)))]
    caplog.set_level(logging.DEBUG)
    with connect(served.plugin.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    wait_until(lambda: "went away" in caplog.text, timeout=WIDE_SECONDS)

    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_fault_of_a_request_is_logged_and_stays_there(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(SiteHandler, "do_GET", lambda _: 1 / 0)
        assert raw_answer(served.plugin.port, b"GET / HTTP/1.0\r\n\r\n") == b""

    assert "ZeroDivisionError" in caplog.text
    assert served.ask().status == 200


def test_system_without_another_thread_loses_one_request(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("socketserver.threading.Thread.start", refuse)
        with connect(served.plugin.port) as client:
            assert read_all(client) == b""

    assert served.ask().status == 200
    assert "can't start new thread" in caplog.text


def test_stop_hangs_up_on_clients_and_frees_the_port(make_served: Callable[..., Served]) -> None:
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside threads: that is the test
def test_stop_in_a_forked_child_neither_waits_nor_disturbs_the_parent(served: Served) -> None:
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


# Clients that are slow on purpose

BEGINNINGS = {
    "request line": b"GET /met",
    "headers": b"GET /metrics HTTP/1.1\r\nX: ",
    "body": b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n",
    "body of a GET": b"GET /metrics HTTP/1.1\r\nContent-Length: 65536\r\n\r\n",
}


def drip_until_the_end(client: socket.socket, seconds: float) -> bool:
    """Send a byte now and then; tell whether the server ended that."""
    end = time.monotonic() + seconds
    client.settimeout(0.02)
    while time.monotonic() < end:
        try:
            client.sendall(b"x")
            if client.recv(1_000) == b"":
                return True
        except TimeoutError:
            pass
        except OSError:
            return True
    return False


@pytest.mark.fault("P2")
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_whole_request_has_one_deadline_however_it_drips(served: Served, beginning: str) -> None:
    server_of(served.plugin).connections.read_seconds = 0.3
    with connect(served.plugin.port) as client:
        client.sendall(BEGINNINGS[beginning])

        assert drip_until_the_end(client, WIDE_SECONDS)


@pytest.mark.fault("P2")
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_clients_that_drip_do_not_keep_a_scrape_out(served: Served, beginning: str) -> None:
    server_of(served.plugin).connections.read_seconds = 10 * WIDE_SECONDS
    dripping = [connect(served.plugin.port) for _ in range(2 * MAX_CONNECTIONS)]
    try:
        for client in dripping:
            client.sendall(BEGINNINGS[beginning])
        answers = [served.ask().status for _ in range(5)]
    finally:
        for client in dripping:
            client.close()

    assert answers == [200] * 5


def large(served: Served) -> None:
    # Far more than the system keeps for a client that does not read.
    names = (f"{'agent' * 200}-{number}" for number in range(20_000))
    served.metrics.families = [gauge(1, *names)]


@pytest.mark.fault("P2")
def test_client_that_does_not_take_its_answer_is_let_go(served: Served) -> None:
    connections = server_of(served.plugin).connections
    connections.answer_seconds = 0.3
    large(served)
    with connect(served.plugin.port) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: connections._open, timeout=WIDE_SECONDS)
        wait_until(lambda: not connections._open, timeout=WIDE_SECONDS)


@pytest.mark.fault("P2")
def test_clients_that_do_not_take_their_answers_do_not_keep_a_scrape_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_STALLED_SECONDS", 0.0)
    connections = server_of(served.plugin).connections
    connections.answer_seconds = 10 * WIDE_SECONDS
    large(served)
    idle = [connect(served.plugin.port) for _ in range(MAX_CONNECTIONS)]
    try:
        for client in idle:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(
            lambda: len([one for one in connections._open.values() if one.answered]) == len(idle),
            timeout=WIDE_SECONDS,
        )
        served.metrics.families = [gauge(1)]
        answers = [served.ask().status for _ in range(3)]
    finally:
        for client in idle:
            client.close()

    assert answers == [200] * 3


# Targets and headers of any kind


@pytest.mark.fault("P2")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://[", b" 400 "),
        (b"http://[/metrics", b" 400 "),
        (b"http://a]b/", b" 400 "),
        (b"//[x", b" 404 "),
        (b"http://localhost/metrics", b" 200 "),
        (b"http://attacker.example/metrics", b" 421 "),
        (b"http://localhost@attacker.example/metrics", b" 400 "),
        (b"/metrics?http://[", b" 200 "),
        (b"/[", b" 404 "),
        (b"http:", b" 404 "),
        (b"*", b" 404 "),
        (b"\xff\xfe", b" 400 "),
    ],
)
def test_odd_target_is_answered_and_leaves_no_trace_in_the_log(
    served: Served, target: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert status in raw_answer(served.plugin.port, request)
    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]


@pytest.mark.fault("P2")
@pytest.mark.parametrize("host", [b"a/b", b"localhost/x", b"[", b"attacker@localhost"])
def test_host_that_could_be_read_in_two_ways_is_refused(served: Served, host: bytes) -> None:
    request = b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"

    assert b" 400 " in raw_answer(served.plugin.port, request)


def test_second_host_is_refused(served: Served) -> None:
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n"

    assert b" 400 " in raw_answer(served.plugin.port, request)


def fail_with(text: str) -> Callable[[], None]:
    def fail() -> None:
        raise RuntimeError(text)

    return fail


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b\x85\x7f\x08"


@pytest.mark.fault("P2")
@pytest.mark.parametrize(
    "request_",
    [
        f"GET /nothing?{HOSTILE} HTTP/1.1\r\n\r\n",
        f"GET /metrics?{HOSTILE} HTTP/1.1\r\n\r\n",
        f"GET http://[{HOSTILE} HTTP/1.1\r\n\r\n",
        f"{HOSTILE} /metrics HTTP/1.1\r\n\r\n",
        f"GET /metrics {HOSTILE}\r\n\r\n",
        f"GET /metrics HTTP/1.1\r\nAccept: {HOSTILE}\r\nHost: {HOSTILE}\r\n\r\n",
        f"GET /metrics HTTP/1.1\r\nAuthorization: {HOSTILE}\r\nAccept: a;q={HOSTILE}\r\n\r\n",
        f"{HOSTILE}\r\n\r\n",
        "GET /metrics\rWARNING:root:forged HTTP/1.1\r\n\r\n",
    ],
)
def test_nothing_of_a_request_commands_who_reads_the_log(
    served: Served, request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.metrics.before_collecting = fail_with(f"caused by {request_}")
    raw_answer(served.plugin.port, request_.encode("latin-1"))

    lines = "\n".join(map(logging.Formatter().format, caplog.records)).split("\n")
    assert lines
    assert all(line.isprintable() for line in lines)


def test_failing_metrics_are_told_at_a_limited_rate(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.metrics.before_collecting = fail_with("no")
    answers = {served.ask().status for _ in range(20)}

    assert answers == {500}
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1
