"""The metrics inside what an application has already: servers and registries."""

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from hypervisor_observability import EventType, MetricFamily, MetricKind, Observability
from hypervisor_prometheus import HypervisorCollector, asgi_app, wsgi_app
from tests.http_client import ask
from tests.http_servers import serving

BREACHES = 'agent_hypervisor_ring_breaches_total{agent_did="a",session_id="s"}'


@pytest.fixture
def observability() -> Iterator[Observability]:
    with Observability() as running:
        running.bus.record(EventType.RING_BREACH_DETECTED, agent_did="a", session_id="s")
        yield running


def test_metrics_stand_beside_others_in_a_registry(observability: Observability) -> None:
    registry = CollectorRegistry()
    Counter("requests", "Requests", registry=registry).inc()
    registry.register(HypervisorCollector(observability.collect_metrics))

    first = generate_latest(registry).decode()
    observability.bus.record(EventType.RING_BREACH_DETECTED, agent_did="a", session_id="s")
    second = generate_latest(registry).decode()

    assert "requests_total 1.0" in first
    assert f"{BREACHES} 1.0" in first
    assert f"{BREACHES} 2.0" in second


def test_family_that_cannot_be_shown_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    bad = MetricFamily(name="", kind=MetricKind.GAUGE, help="", series={(): 1})
    good = MetricFamily(name="good", kind=MetricKind.GAUGE, help="", series={(): 1})
    registry = CollectorRegistry()
    registry.register(HypervisorCollector(lambda: [bad, good]))

    assert "good 1.0" in generate_latest(registry).decode()
    assert "cannot be shown" in caplog.text


# ASGI


def asked(app: Any, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [
        (name.replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    scope = {"type": "http", "method": method, "path": "/metrics", "headers": raw}
    asyncio.run(app(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, sent[1]["body"]


def test_asgi_application_answers_as_asked(observability: Observability) -> None:
    app = asgi_app(observability.collect_metrics)

    status, headers, body = asked(app)
    assert (status, headers["content-length"]) == (200, str(len(body)))
    assert f"{BREACHES} 1.0" in body.decode()
    _, headers, body = asked(
        app, Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip"
    )
    assert headers["content-encoding"] == "gzip"
    text = gzip.decompress(body).decode()
    assert list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # theirs has no types
    assert asked(app, "HEAD")[2] == b""
    status, headers, _ = asked(app, "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_asgi_application_takes_part_in_the_lifespan() -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(asgi_app(list)({"type": "lifespan"}, receive, send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_asgi_application_refuses_websockets() -> None:
    async def never() -> Any:
        raise AssertionError

    async def send(_: Any) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(asgi_app(list)({"type": "websocket"}, never, send))


# WSGI, in the standard library's server and under its validator


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wsgi_port(observability: Observability) -> Iterator[int]:
    app = validator(wsgi_app(observability.collect_metrics))
    with serving(make_server("127.0.0.1", 0, app, handler_class=_Silent)) as port:
        yield port


def test_wsgi_application_answers_as_asked(wsgi_port: int) -> None:
    packed = {"Accept-Encoding": "gzip"}
    got, head, post = (
        ask(wsgi_port, "/anything", method=method, headers=packed)
        for method in ("GET", "HEAD", "POST")
    )

    assert (got.status, got.headers["Content-Encoding"]) == (200, "gzip")
    text = gzip.decompress(got.body).decode()
    assert f"{BREACHES} 1.0" in text
    assert list(text_string_to_metric_families(text))
    assert head.body == b""
    assert post.status == 405
