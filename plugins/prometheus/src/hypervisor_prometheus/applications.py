"""The metrics as an application for a server that there is already: ASGI or WSGI.

Both answer at every path that they are mounted at. Who may read is the server's to say.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from hypervisor_observability.serving.coding import compressed, takes_gzip
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

    They are collected in a thread, so that the event loop goes on: asyncio's or trio's. In any
    other loop they are collected at once.

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
        answer = await _in_thread(
            lambda: _answer(
                renderer,
                scope["method"],
                _header(scope, b"accept"),
                _header(scope, b"accept-encoding"),
            )
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


def _header(scope: Message, name: bytes) -> str:
    """Give the value of a header; those of one that comes several times are joined."""
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return b", ".join(values).decode("latin-1")


async def _in_thread(make: Callable[[], _Answer]) -> _Answer:
    trio = sys.modules.get("trio")
    # In a loop of trio's that is a guest of asyncio, both are there.
    if trio is not None and _is_current(trio.lowlevel.current_task):
        answer: _Answer = await trio.to_thread.run_sync(make)
        return answer
    if _is_current(asyncio.get_running_loop):
        return await asyncio.to_thread(make)
    return make()


def _is_current(find: Callable[[], object]) -> bool:
    try:
        find()
    except RuntimeError:
        return False
    return True


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
