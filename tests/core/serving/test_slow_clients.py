"""Clients that are slow, silent or many: none keeps another out."""

import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest

from hypervisor_observability.serving import connections as connections_module
from hypervisor_observability.serving.connections import Connections
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.serving.pages import Page, Request
from hypervisor_observability.serving.requests import SiteHandler
from tests.core.serving.served_site import WIDE_SECONDS, ServedSite, read_all, request_threads
from tests.threads import run_in_threads
from tests.waiting import wait_until

Serve = Callable[..., ServedSite]

MAX_CONNECTIONS = 16
# Far more than the system keeps for a client that does not read.
LARGE = b"x" * 20_000_000


@pytest.mark.parametrize("refusing", ["gzip;q=0", "gzip; q=0.000", "br", "identity"])
def test_answer_is_plain_for_those_who_do_not_take_gzip(served: ServedSite, refusing: str) -> None:
    assert "Content-Encoding" not in served.ask(Accept_Encoding=refusing).headers


@pytest.mark.fault("P2")
def test_silent_clients_do_not_keep_a_page_out(served: ServedSite) -> None:
    silent = [served.connect() for _ in range(3 * MAX_CONNECTIONS)]
    try:
        answers = [served.ask().status for _ in range(5)]
        # One that has given its place back may be on its way out.
        wait_until(lambda: 0 < len(request_threads()) <= MAX_CONNECTIONS)
    finally:
        for client in silent:
            client.close()

    assert answers == [200] * 5


def test_silent_client_is_let_go(served: ServedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.05)
    with served.connect() as client:
        assert read_all(client) == b""


def test_more_clients_than_there_are_places_are_told_to_come_back(
    serve: Callable[..., ServedSite],
) -> None:
    served = serve()
    release, inside = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        inside.release()
        release.wait(WIDE_SECONDS)

    served.shown.before = hold
    clients = [served.connect() for _ in range(MAX_CONNECTIONS)]
    try:
        for client in clients:
            client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            assert inside.acquire(timeout=WIDE_SECONDS)
        with served.connect() as late:
            refusal = read_all(late)
        release.set()
        answers = [read_all(client) for client in clients]
    finally:
        release.set()
        for client in clients:
            client.close()

    assert b" 503 " in refusal
    assert all(b" 200 " in answer for answer in answers)


def test_connection_that_has_just_come_is_not_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "_NEW_SECONDS", WIDE_SECONDS)
    connections = Connections(1)
    new, its_client = socket.socketpair()
    late, late_client = socket.socketpair()
    with new, its_client, late, late_client:
        assert connections.admit(new)

        assert not connections.admit(late)
        new.sendall(b"whole")
        assert its_client.recv(10) == b"whole"


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


def test_page_is_told_that_its_client_has_gone(serve: Serve) -> None:
    ends: list[Ending] = []
    made = threading.Event()

    def slow(request: Request) -> Page:
        gone = threading.Event()
        request.ending.call(gone.set)
        ends.append(request.ending)
        assert gone.wait(WIDE_SECONDS)
        made.set()
        return Page("text/plain", b"")

    served = serve(pages={"/slow": slow}, max_connections=1)
    with served.connect() as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: ends)

    assert made.wait(WIDE_SECONDS)
    assert ends[0].why == "the viewer has gone"
    assert served.ask().status == HTTPStatus.OK


def test_page_is_told_that_the_server_stops(serve: Serve) -> None:
    ends: list[Ending] = []

    def slow(request: Request) -> Page:
        ends.append(request.ending)
        wait_until(request.ending.is_set)
        return Page("text/plain", b"")

    served = serve(pages={"/slow": slow})
    with served.connect() as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: ends)
        served.server.stop()

    assert ends[0].why == "the server stops"
    wait_until(lambda: not request_threads())


# Clients that are slow on purpose

BEGINNINGS = {
    "request line": b"GET /pag",
    "headers": b"GET /page HTTP/1.1\r\nX: ",
    "body": b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n",
    "body of a GET": b"GET /page HTTP/1.1\r\nContent-Length: 65536\r\n\r\n",
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
def test_whole_request_has_one_deadline_however_it_drips(
    served: ServedSite, beginning: str
) -> None:
    served.server.connections.read_seconds = 0.3
    with served.connect() as client:
        client.sendall(BEGINNINGS[beginning])

        assert drip_until_the_end(client, WIDE_SECONDS)


@pytest.mark.fault("P2")
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_clients_that_drip_do_not_keep_a_page_out(served: ServedSite, beginning: str) -> None:
    served.server.connections.read_seconds = 10 * WIDE_SECONDS
    dripping = [served.connect() for _ in range(2 * MAX_CONNECTIONS)]
    try:
        for client in dripping:
            client.sendall(BEGINNINGS[beginning])
        answers = [served.ask().status for _ in range(5)]
    finally:
        for client in dripping:
            client.close()

    assert answers == [200] * 5


@pytest.mark.fault("P2")
def test_client_that_does_not_take_its_answer_is_let_go(served: ServedSite) -> None:
    connections = served.server.connections
    connections.answer_seconds = 0.3
    served.shown.body = LARGE
    with served.connect() as client:
        client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        wait_until(lambda: connections._open, timeout=WIDE_SECONDS)
        wait_until(lambda: not connections._open, timeout=WIDE_SECONDS)


@pytest.mark.fault("P2")
def test_clients_that_do_not_take_their_answers_do_not_keep_a_page_out(
    served: ServedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_STALLED_SECONDS", 0.0)
    connections = served.server.connections
    connections.answer_seconds = 10 * WIDE_SECONDS
    served.shown.body = LARGE
    idle = [served.connect() for _ in range(MAX_CONNECTIONS)]
    try:
        for client in idle:
            client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        wait_until(
            lambda: len([one for one in connections._open.values() if one.answered]) == len(idle),
            timeout=WIDE_SECONDS,
        )
        served.shown.body = b"small"
        answers = [served.ask().status for _ in range(3)]
    finally:
        for client in idle:
            client.close()

    assert answers == [200] * 3


def test_clients_that_come_all_at_once_are_all_served(served: ServedSite) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.append(served.ask().status)

    run_in_threads(*[ask] * (3 * MAX_CONNECTIONS))

    assert answers == [200] * (3 * MAX_CONNECTIONS)


@pytest.mark.fault("P2")
@pytest.mark.slow
def test_five_hundred_half_open_connections_do_not_keep_a_page_out(served: ServedSite) -> None:
    halves = []
    try:
        for number in range(500):
            client = socket.create_connection(("127.0.0.1", served.port), WIDE_SECONDS)
            client.sendall(b"GET /page HTTP/1.1\r\nX: " if number % 2 else b"")
            halves.append(client)
        began = time.monotonic()
        status = served.ask().status
        took = time.monotonic() - began
    finally:
        for client in halves:
            client.close()

    assert status == 200
    # It takes milliseconds; a page that had to wait for a place would wait 5 s for a time-out.
    assert took < 4
