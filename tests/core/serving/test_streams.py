"""Streams: viewers that stay, vanish, sleep or come in great numbers."""

import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest

from hypervisor_observability.serving import connections as connections_module
from hypervisor_observability.serving import streams as streams_module
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.serving.requests import SiteHandler
from hypervisor_observability.serving.settings import ServerSettings
from tests.core.serving.certificates import Certificates
from tests.core.serving.served_site import WIDE_SECONDS, ServedSite, read_all, request_threads
from tests.waiting import wait_until

Serve = Callable[..., ServedSite]


def test_stream_is_written_as_it_comes(served: ServedSite) -> None:
    with served.watch() as viewer:
        served.ticks.tick()
        assert viewer.recv(100) == b"tick\n"
        served.ticks.tick()
        assert viewer.recv(100) == b"tick\n"


def test_viewer_that_leaves_is_found_out_though_nothing_is_sent(served: ServedSite) -> None:
    viewer = served.watch()
    assert len(served.streams) == 1
    viewer.close()

    wait_until(lambda: served.ticks.closed)
    wait_until(lambda: len(served.streams) == 0)
    wait_until(lambda: not request_threads())
    assert served.ticks.closed == ["the viewer has gone"]


def test_viewer_that_leaves_is_found_out_where_the_system_tells_less(
    served: ServedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_GONE", select.POLLIN)
    stays, leaves = served.watch(), served.watch()
    stays.sendall(b"what nobody asked for")
    leaves.close()

    wait_until(lambda: len(served.streams) == 1)
    with stays:
        served.ticks.tick()
        assert stays.recv(100) == b"tick\n"


def test_viewers_that_reload_in_a_loop_never_find_all_places_taken(serve: Serve) -> None:
    served = serve(max_streams=2)
    for _ in range(20):
        served.watch().close()
        wait_until(lambda: len(served.streams) == 0)

    assert served.ticks.closed == ["the viewer has gone"] * 20


def test_of_many_viewers_those_without_a_place_are_told_to_come_back(serve: Serve) -> None:
    served = serve(max_streams=4)
    viewers = [served.watch() for _ in range(4)]
    try:
        refused = [served.ask("/ticks") for _ in range(4)]
        viewers.pop().close()
        wait_until(lambda: len(served.streams) == 3)
        viewers.append(served.watch())
    finally:
        for viewer in viewers:
            viewer.close()

    assert {answer.status for answer in refused} == {503}
    assert refused[0].headers["Retry-After"] == "2"
    assert "4 streams are open" in refused[0].text


def test_viewers_take_no_place_of_a_page(serve: Serve) -> None:
    served = serve(max_connections=1, max_streams=8)
    viewers = [served.watch() for _ in range(8)]
    try:
        assert [served.ask().status for _ in range(3)] == [200] * 3
    finally:
        for viewer in viewers:
            viewer.close()


def test_viewer_that_takes_nothing_is_hung_up_and_holds_up_no_other(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.3)
    closed = threading.Event()

    def flood(_: Request) -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    served = serve(streams={"/flood": flood})
    sleeper = served.connect()
    sleeper.sendall(b"GET /flood HTTP/1.1\r\n\r\n")
    with sleeper, served.watch() as viewer:
        served.ticks.tick()
        assert viewer.recv(100) == b"tick\n"
        assert closed.wait(30)
        wait_until(lambda: len(served.streams) == 1)


def test_stop_has_streams_say_their_last_word(served: ServedSite) -> None:
    with served.watch() as viewer:
        served.server.stop()

        assert read_all(viewer) == b"end: the server stops\n"
    assert len(served.streams) == 0


def test_stop_does_not_wait_for_a_stream_that_does_not_hear(serve: Serve) -> None:
    released = threading.Event()

    def deaf(_: Request) -> Iterator[bytes]:
        yield b"begun\n"
        released.wait(4 * WIDE_SECONDS)

    served = serve(streams={"/deaf": deaf})
    with served.connect() as viewer:
        viewer.sendall(b"GET /deaf HTTP/1.0\r\n\r\n")
        wait_until(lambda: len(served.streams) == 1)
        served.server.stop()
        assert read_all(viewer).endswith(b"begun\n")
    released.set()
    wait_until(lambda: len(served.streams) == 0)


def test_stream_after_the_stop_is_refused(served: ServedSite) -> None:
    served.streams.hang_up()

    answer = served.ask("/ticks")

    assert (answer.status, "the server stops" in answer.text) == (503, True)


def test_stream_ends_when_its_time_is_over(serve: Serve) -> None:
    served = serve(stream_seconds=0.0)
    with served.connect() as viewer:
        viewer.sendall(b"GET /ticks HTTP/1.0\r\n\r\n")

        assert read_all(viewer).endswith(b"begun\nend: a stream has its time, which is over\n")


def test_stream_that_does_not_hear_of_its_end_is_ended(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "ANSWER_SECONDS", 0.1)
    released = threading.Event()

    def deaf(_: Request) -> Iterator[bytes]:
        yield b"begun\n"
        released.wait(4 * WIDE_SECONDS)

    served = serve(streams={"/deaf": deaf}, stream_seconds=0.0)
    with served.connect() as viewer:
        viewer.sendall(b"GET /deaf HTTP/1.0\r\n\r\n")
        assert read_all(viewer).endswith(b"begun\n")
    released.set()


def test_stream_may_be_refused_before_its_first_bytes(serve: Serve) -> None:
    def refused(request: Request) -> Iterator[bytes]:
        if filter_ := request.query.get("filter"):
            raise Refused(HTTPStatus.BAD_REQUEST, f"no such filter: {filter_}")
        yield b"begun\n"

    served = serve(streams={"/refused": refused})
    answer = served.ask("/refused?filter=%21")

    assert answer.status == 400
    assert answer.text == "400 Bad Request: no such filter: !\n"
    assert served.ask("/refused").text == "begun\n"


def test_stream_that_fails_at_once_is_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Request) -> Iterator[bytes]:
        raise OSError("the disk is gone")

    assert serve(streams={"/broken": broken}).ask("/broken").status == 500
    assert "the disk is gone" in caplog.text


def test_stream_that_fails_later_ends_and_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: Request) -> Iterator[bytes]:
        yield b"begun\n"
        raise OSError("the disk is gone")

    answer = serve(streams={"/breaks": breaks}).raw_answer(b"GET /breaks HTTP/1.0\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nbegun\n")
    assert "the disk is gone" in caplog.text


def test_stream_of_nothing_is_empty(serve: Serve) -> None:
    answer = serve(streams={"/empty": lambda _: iter(())}).ask("/empty")

    assert (answer.status, answer.body) == (200, b"")


def test_stream_is_no_generator_and_is_closed_all_the_same(serve: Serve) -> None:
    class Closing:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            raise StopIteration

        def close(self) -> None:
            self.closed = True

    made = Closing()
    served = serve(streams={"/closing": lambda _: made})

    assert served.ask("/closing").status == 200
    wait_until(lambda: made.closed)


def test_head_of_a_stream_begins_none(served: ServedSite) -> None:
    answer = served.ask("/ticks", "HEAD")

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert served.ticks.closed == []


def test_stream_ends_with_its_viewer_behind_tls_too(
    serve: Serve, certificates: Certificates
) -> None:
    files = ServerSettings(tls_certificate=certificates.certificate, tls_key=certificates.key)
    served = serve(bound=files)
    trusting = ssl.create_default_context(cafile=str(certificates.certificate))
    viewer = trusting.wrap_socket(served.connect(), server_hostname="localhost")
    viewer.sendall(b"GET /ticks HTTP/1.0\r\n\r\n")
    wait_until(lambda: len(served.streams) == 1)
    served.ticks.tick()
    received = b""
    while not received.endswith(b"tick\n"):
        received += viewer.recv(1_000)
    viewer.close()

    wait_until(lambda: served.ticks.closed == ["the viewer has gone"])


def test_viewer_that_resets_is_nobody_s_trouble(
    served: ServedSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    viewer = served.watch()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    viewer.close()
    wait_until(lambda: served.ticks.closed)

    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]


def test_place_of_a_connection_that_is_closed_already_is_given_back() -> None:
    streams = streams_module.Streams(1, 60.0)
    one, other = socket.socketpair()
    with one, other, streams.place(one) as ending:
        assert isinstance(ending, Ending)
        other.close()
        streams.end_late()
        assert ending.why == "the viewer has gone"

    assert len(streams) == 0
