"""The files of the page, as the wheel brings them."""

import hashlib
from collections.abc import Callable
from functools import partial
from importlib.resources import files

from hypervisor_observability.serving.pages import Page, Request

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def pages() -> dict[str, Callable[[Request], Page]]:
    """Give the files by their paths; ``/`` is the page itself."""
    root = files("hypervisor_web") / "static"
    found: dict[str, Callable[[Request], Page]] = {}
    waiting = [("", root)]
    while waiting:
        path, folder = waiting.pop()
        for one in folder.iterdir():
            name = f"{path}/{one.name}"
            if one.is_dir():
                waiting.append((name, one))
            elif (ending := name[name.rfind(".") :]) in _TYPES:
                body = one.read_bytes()
                tag = hashlib.sha256(body).hexdigest()[:16]
                page = Page(_TYPES[ending], body, tag=tag)
                found["/" if name == "/index.html" else name] = partial(_given, page)
    return found


def _given(page: Page, _: Request) -> Page:
    return page
