"""JSON as the page gets it."""

import json
from http import HTTPStatus
from typing import Any

from hypervisor_observability.serving.pages import Page

_JSON = "application/json; charset=utf-8"


def json_bytes(value: Any) -> bytes:
    """Write *value* as JSON (RFC 8259), in ASCII: half a surrogate pair survives as its escape.

    Raises:
        TypeError: Something in it has no form in JSON.
        ValueError: A number is none, or infinite; or *value* holds itself.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def json_line(value: Any) -> bytes:
    """Write *value* as a line of a stream of JSON; raises as ``json_bytes`` does."""
    return json_bytes(value) + b"\n"


def json_page(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """Answer with *value*; raises as ``json_bytes`` does."""
    return Page(_JSON, json_bytes(value), status)


def json_text(text: bytes) -> Page:
    """Answer with what ``json_bytes`` wrote."""
    return Page(_JSON, text)


def error_page(status: HTTPStatus, text: str) -> Page:
    """Answer with an error, as the page expects it."""
    return json_page({"error": text}, status)


def unchanged() -> Page:
    """Answer that what the page knows is still right: 204, and no body."""
    return Page("", b"", HTTPStatus.NO_CONTENT)
