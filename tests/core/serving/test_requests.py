"""Requests of any kind: what is answered, and what is refused."""

import gzip
import logging
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.serving.served_site import ServedSite, fail_with, make_served, read_all


def test_answer_is_compressed_for_those_who_take_it(served: ServedSite) -> None:
    plain = served.ask()
    compressed = served.ask(Accept_Encoding="br, gzip;q=0.5")

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body


def test_head_tells_the_length_and_sends_no_body(served: ServedSite) -> None:
    head, get = served.ask(method="HEAD"), served.ask()

    assert head.status == 200
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(get.body))


def test_query_of_the_address_is_no_part_of_the_path(served: ServedSite) -> None:
    assert served.ask("/page?name[]=x").status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(served: ServedSite, method: str) -> None:
    answer = served.ask(method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("length", ["-5", "x", "9" * 30])
def test_nonsense_about_a_body_is_passed_over(served: ServedSite, length: str) -> None:
    request = f"POST /page HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode()

    assert b" 405 " in served.raw_answer(request)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:9464", "LOCALHOST", "[::1]:80", "127.8.8.8"]
)
def test_names_of_this_machine_are_served(served: ServedSite, host: str) -> None:
    assert served.ask(Host=host).status == 200


@pytest.mark.fault("P2")
@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:9464", "", "10.0.0.1"])
def test_name_that_was_pointed_at_this_machine_is_refused(served: ServedSite, host: str) -> None:
    answer = served.ask(Host=host)

    assert answer.status == 421
    assert "shown" not in answer.text


def test_client_without_host_is_served(served: ServedSite) -> None:
    assert b" 200 " in served.raw_answer(b"GET /page HTTP/1.0\r\n\r\n")


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
def test_malformed_request_is_told_so(served: ServedSite, request_: bytes, status: bytes) -> None:
    answer = served.raw_answer(request_)

    # A request that was not read to its end may reset the connection before the answer.
    assert status in answer or answer == b""
    assert served.ask().status == 200


# Targets and headers of any kind


@pytest.mark.fault("P2")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://[", b" 400 "),
        (b"http://[/page", b" 400 "),
        (b"http://a]b/", b" 400 "),
        (b"//[x", b" 404 "),
        (b"http://localhost/page", b" 200 "),
        (b"http://attacker.example/page", b" 421 "),
        (b"http://localhost@attacker.example/page", b" 400 "),
        (b"/page?http://[", b" 200 "),
        (b"/[", b" 404 "),
        (b"http:", b" 404 "),
        (b"*", b" 404 "),
        (b"\xff\xfe", b" 400 "),
    ],
)
def test_odd_target_is_answered_and_leaves_no_trace_in_the_log(
    served: ServedSite, target: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert status in served.raw_answer(request)
    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]


@pytest.mark.fault("P2")
@pytest.mark.parametrize("host", [b"a/b", b"localhost/x", b"[", b"attacker@localhost"])
def test_host_that_could_be_read_in_two_ways_is_refused(served: ServedSite, host: bytes) -> None:
    request = b"GET /page HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"

    assert b" 400 " in served.raw_answer(request)


def test_second_host_is_refused(served: ServedSite) -> None:
    request = b"GET /page HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n"

    assert b" 400 " in served.raw_answer(request)


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b\x85\x7f\x08"


@pytest.mark.fault("P2")
@pytest.mark.parametrize(
    "request_",
    [
        f"GET /nothing?{HOSTILE} HTTP/1.1\r\n\r\n",
        f"GET /page?{HOSTILE} HTTP/1.1\r\n\r\n",
        f"GET http://[{HOSTILE} HTTP/1.1\r\n\r\n",
        f"{HOSTILE} /page HTTP/1.1\r\n\r\n",
        f"GET /page {HOSTILE}\r\n\r\n",
        f"GET /page HTTP/1.1\r\nAccept: {HOSTILE}\r\nHost: {HOSTILE}\r\n\r\n",
        f"GET /page HTTP/1.1\r\nAuthorization: {HOSTILE}\r\nAccept: a;q={HOSTILE}\r\n\r\n",
        f"{HOSTILE}\r\n\r\n",
        "GET /page\rWARNING:root:forged HTTP/1.1\r\n\r\n",
    ],
)
def test_nothing_of_a_request_commands_who_reads_the_log(
    served: ServedSite, request_: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.shown.before = fail_with(f"caused by {request_}")
    served.raw_answer(request_.encode("latin-1"))

    lines = "\n".join(map(logging.Formatter().format, caplog.records)).split("\n")
    assert lines
    assert all(line.isprintable() for line in lines)


@pytest.fixture(scope="module")
def one_for_all() -> Iterator[ServedSite]:
    served = make_served()
    yield served
    served.server.stop()


PIECES = [
    *(b"GET ", b"HEAD ", b"POST ", b"/page", b"/ticks?a=%", b"http://", b" HTTP/1.1", b" HTTP/9.9"),
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\xff", b" ", b":", b"Host: ", b"localhost"),
    *(
        b"Content-Length: ",
        b"9",
        b"-",
        b"Authorization: Basic ",
        b"Origin: null",
        b"%00",
        b"[",
        b"]",
    ),
]


@pytest.mark.fault("P2")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))
def test_no_request_of_any_kind_takes_the_server_down(
    one_for_all: ServedSite, request_: bytes
) -> None:
    with one_for_all.connect() as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)

    assert answer == b"" or answer.startswith(b"HTTP/1.0 ")
    assert b" 500 " not in answer.partition(b"\r\n")[0]
    assert one_for_all.ask().status == 200
