"""The metrics as an application for a server that there is already: ASGI or WSGI.

Both answer at every path that they are mounted at. Who may read is the server's to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from hypervisor_prometheus.coding import compressed, takes_gzip
from hypervisor_prometheus.rendering import Collect, Renderer

Message = MutableMapping[str, Any]
ASGIApplication = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Coroutine[Any, Any, None],
]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_TEXT = "text/plain; charset=utf-8"


def wsgi_app(collect: Collect) -> WSGIApplication:
    """Make a WSGI application (PEP 3333) that answers with the metrics.

    Args:
        collect: Gives the metrics: ``observability.collect_metrics``.
    """
    renderer = Renderer(collect)

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answer = _answer(
            renderer,
            environ["REQUEST_METHOD"],
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
        return [answer.body]

    return application


def asgi_app(collect: Collect) -> ASGIApplication:
    """Make an ASGI application (version 3) that answers with the metrics.

    They are collected in a thread, so that the event loop goes on.

    Args:
        collect: Gives the metrics: ``observability.collect_metrics``.
    """
    renderer = Renderer(collect)

    async def application(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"expected an HTTP request, got {scope['type']!r}")
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = await asyncio.to_thread(
            _answer,
            renderer,
            scope["method"],
            headers.get(b"accept", ""),
            headers.get(b"accept-encoding", ""),
        )
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status.value, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})

    return application


@frozen
class _Answer:
    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes


def _answer(renderer: Renderer, method: str, accept: str, accept_encoding: str) -> _Answer:
    if method not in {"GET", "HEAD"}:
        body = b"405 Method Not Allowed: use GET or HEAD\n"
        headers = [("Content-Type", _TEXT), ("Allow", "GET, HEAD")]
        headers.append(("Content-Length", str(len(body))))
        return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers, body)
    content_type, body = renderer.render(accept)
    headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
    if takes_gzip(accept_encoding):
        body = compressed(body)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return _Answer(HTTPStatus.OK, headers, b"" if method == "HEAD" else body)


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
