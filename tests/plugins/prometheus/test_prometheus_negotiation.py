"""Which format and which coding a client gets for what it accepts."""

import asyncio
import re
import socket
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

import hypercorn
import hypercorn.trio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import MetricFamily, MetricKind
from hypervisor_observability.serving.coding import takes_gzip
from hypervisor_observability.serving.header_lists import elements
from hypervisor_prometheus import asgi_app, wsgi_app
from hypervisor_prometheus.negotiation import chosen_format
from hypervisor_prometheus.rendering import Collect
from tests.plugins.prometheus.served import Served

OM = "application/openmetrics-text"
TEXT_0 = "text/plain; version=0.0.4"
TEXT_1 = "text/plain; version=1.0.0"
OM_1 = f"{OM}; version=1.0.0"
PROMETHEUS_2 = (
    f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    f"encoding=delimited;q=0.7,{OM};version=1.0.0;q=0.6,*/*;q=0.2"
)
CHOICES = [
    ("", TEXT_0),
    ("*/*", TEXT_0),
    ("text/*", TEXT_0),
    ("text/plain", TEXT_0),
    ("text/plain;version=0.0.4", TEXT_0),
    ("text/plain;version=1.0.0", TEXT_1),
    ("text/plain;version=2.0.0", TEXT_0),
    ("text/html", TEXT_0),
    (OM, OM),
    (f"{OM};version=1.0.0", OM_1),
    (f'{OM};version="1.0.0"', OM_1),
    (f'{OM};version="1\\.0\\.0"', OM_1),
    (f"{OM.upper()} ; VERSION=1.0.0", OM_1),
    (f"{OM};version=2.0.0", TEXT_0),
    (f"{OM};version=0.0.1", TEXT_0),
    (f"{OM};version=abc", TEXT_0),
    (f"{OM};version=", TEXT_0),
    (f"{OM};version=1.0.0;escaping=dots", f"{OM_1}; escaping=dots"),
    (f'{OM};version=1.0.0;escaping="allow-utf-8"', f"{OM_1}; escaping=allow-utf-8"),
    (f"{OM};version=1.0.0;escaping=nonsense", OM_1),
    ("application/*", OM),
    (f"{OM};version=1.0.0;q=0, text/plain", TEXT_0),
    (f"{OM};version=1.0.0;q=0.1, text/plain;q=0.9", TEXT_0),
    (f"{OM};version=1.0.0;q=0.9, text/plain;q=0.1", OM_1),
    (f"text/plain, {OM};version=1.0.0", OM_1),
    (f"text/plain;q=0, {OM};q=0.001", OM),
    ("text/plain;q=0, */*", OM),
    (f"*/*, {OM};q=0", TEXT_0),
    (f"{OM};q=0, application/*, text/plain;q=0.2", TEXT_0),
    (f"{OM};q=0, {OM};version=1.0.0", OM_1),
    (f"{OM};version=1.0.0;q=2, text/plain", TEXT_0),
    (f"{OM};version=1.0.0;q=x, text/plain", TEXT_0),
    (f"{OM};version=1.0.0;q=-1, text/plain", TEXT_0),
    (f'{OM};x="a,b;c\\"d";version=1.0.0', OM_1),
    (f'text/plain;x="{OM}', TEXT_0),
    (PROMETHEUS_2, OM_1),
    (PROMETHEUS_3, f"{OM_1}; escaping=allow-utf-8"),
    (WITH_PROTOBUF, OM_1),
]


@pytest.mark.parametrize(("accept", "chosen"), CHOICES)
def test_format_is_chosen_by_weights_versions_and_particularity(accept: str, chosen: str) -> None:
    assert chosen_format(accept) == chosen


FORMAT = re.compile(
    r"text/plain; version=0\.0\.4|(text/plain|application/openmetrics-text)(; version=1\.0\.0)?"
    r"(; escaping=(allow-utf-8|underscores|dots|values))?"
)
PARTS = [OM, "text/plain", "*/*", "version", "1.0.0", "q", "0", ".5", '"', "\\", ",", ";", "=", " "]


@given(st.text() | st.lists(st.sampled_from(PARTS)).map("".join))
def test_any_header_is_answered_in_a_format_that_there_is(header: str) -> None:
    assert FORMAT.fullmatch(chosen_format(header))
    assert takes_gzip(header) in {True, False}
    assert all(0 <= one.weight <= 1 for one in elements(header))


class _Counted(str):  # noqa: SLOT000 - it counts in an attribute
    """Text that counts how often a part of it is taken, and how much."""

    taken = 0

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.taken += len(part)
        return part


@pytest.mark.parametrize("part", ['"', '\\"', ",", ";", '"\\', "a;q=", '";"'])
def test_header_is_looked_at_once(part: str) -> None:
    counted = _Counted(part * 10_000)
    list(elements(counted))

    assert counted.taken <= len(counted)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True), ("x-gzip", True), ("GZIP", True), ("br, gzip;q=0.5", True),
        ('gzip;q="0.5"', True), ("gzip;q=0", False), ("gzip ; q = 0.000", False),
        ('gzip;q="0"', False), ("*", False), ("identity", False), ("", False),
        ("gzip, gzip;q=0", False), ("gzip;q=x", False), ('x="gzip', False),
    ],
)  # fmt: skip
def test_gzip_is_for_those_who_name_it_with_a_weight(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


# The server and the applications alike

ONE = MetricFamily(name="one", kind=MetricKind.GAUGE, help="One", series={(): 1})
Asked = tuple[str, bytes]


def by_server(served: Served, accept: str) -> Asked:
    answer = served.ask(Accept=accept)
    assert answer.status == 200
    return answer.headers["Content-Type"], answer.body


def by_wsgi(served: Served, accept: str) -> Asked:
    found: dict[str, str] = {}
    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": accept}
    body = wsgi_app(served.metrics.collect)(environ, lambda _, headers: found.update(headers))
    return found["Content-Type"], b"".join(body)


async def asked_of_asgi(collect: Collect, headers: list[tuple[bytes, bytes]]) -> Asked:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    await asgi_app(collect)(scope, receive, send)
    return dict(sent[0]["headers"])[b"content-type"].decode(), sent[1]["body"]


def by_asgi(served: Served, accept: str) -> Asked:
    return asyncio.run(asked_of_asgi(served.metrics.collect, [(b"accept", accept.encode())]))


@pytest.mark.parametrize("ask", [by_server, by_wsgi, by_asgi])
@pytest.mark.parametrize(("accept", "chosen"), CHOICES)
def test_server_and_applications_choose_alike(
    served: Served, ask: Callable[[Served, str], Asked], accept: str, chosen: str
) -> None:
    served.metrics.families = [ONE]
    content_type, body = ask(served, accept)

    assert content_type.startswith(chosen.partition("; escaping")[0])
    assert b"one 1.0\n" in body
    assert body.endswith(b"# EOF\n") == content_type.startswith(OM)


def test_header_that_comes_twice_is_one(served: Served) -> None:
    served.metrics.families = [ONE]
    headers = [(b"accept", b"text/plain;q=0.1"), (b"Accept", f"{OM};version=1.0.0".encode())]
    content_type, _ = asyncio.run(asked_of_asgi(served.metrics.collect, headers))

    assert content_type.startswith(OM_1)


# Event loops


def test_application_runs_in_an_event_loop_of_trio_and_does_not_hold_it_up(
    served: Served,
) -> None:
    served.metrics.families = [ONE]
    threads: list[int] = []
    served.metrics.before_collecting = lambda: threads.append(threading.get_ident())
    _, body = trio.run(asked_of_asgi, served.metrics.collect, [])

    assert b"one 1.0\n" in body
    assert threads
    assert threading.get_ident() not in threads


def test_application_runs_in_any_other_event_loop(served: Served) -> None:
    served.metrics.families = [ONE]
    running = asked_of_asgi(served.metrics.collect, [])
    with pytest.raises(StopIteration) as ended:
        running.send(None)

    assert b"one 1.0\n" in ended.value.value[1]


def test_hypercorn_serves_the_application_with_its_workers_of_trio(served: Served) -> None:
    served.metrics.families = [ONE]
    config = hypercorn.Config()
    config.errorlog = config.accesslog = None
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
    config.bind = [f"fd://{listener.detach()}"]  # closed by the server
    answers: list[bytes] = []

    async def serve_once() -> None:
        asked = trio.Event()
        async with trio.open_nursery() as nursery:
            serve = partial(hypercorn.trio.serve, shutdown_trigger=asked.wait)
            nursery.start_soon(serve, asgi_app(served.metrics.collect), config)
            answers.append(await trio.to_thread.run_sync(_ask, url))
            asked.set()

    trio.run(serve_once)

    assert b"one 1.0\n" in answers[0]


def _ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
        return body
