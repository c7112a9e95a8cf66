"""From the start of a server to its stop, with what may go wrong on the way."""

import logging
import os
import socket
import time
from collections.abc import Callable

import pytest

from hypervisor_observability.serving.requests import SiteHandler
from tests.core.serving.served_site import WIDE_SECONDS, ServedSite, read_all
from tests.waiting import wait_until

LARGE = b"x" * 20_000_000


def test_client_that_resets_is_nobody_s_trouble(
    served: ServedSite, caplog: pytest.LogCaptureFixture
) -> None:
    served.shown.body = LARGE
    caplog.set_level(logging.DEBUG)
    with served.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
    wait_until(lambda: "went away" in caplog.text, timeout=WIDE_SECONDS)

    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_fault_of_a_request_is_logged_and_stays_there(
    served: ServedSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(SiteHandler, "do_GET", lambda _: 1 / 0)
        assert served.raw_answer(b"GET / HTTP/1.0\r\n\r\n") == b""

    assert "ZeroDivisionError" in caplog.text
    assert served.ask().status == 200


def test_system_without_another_thread_loses_one_request(
    served: ServedSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("socketserver.threading.Thread.start", refuse)
        with served.connect() as client:
            assert read_all(client) == b""

    assert served.ask().status == 200
    assert "can't start new thread" in caplog.text


def test_stop_hangs_up_on_clients_and_frees_the_port(serve: Callable[..., ServedSite]) -> None:
    served = serve()
    port = served.port
    before = time.monotonic()
    with served.connect() as client:
        wait_until(lambda: served.server.connections._open)
        served.server.stop()
        assert read_all(client) == b""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    assert time.monotonic() - before < WIDE_SECONDS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside threads: that is the test
def test_stop_in_a_forked_child_neither_waits_nor_disturbs_the_parent(served: ServedSite) -> None:
    child = os.fork()
    if child == 0:
        try:
            served.server.stop()
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
