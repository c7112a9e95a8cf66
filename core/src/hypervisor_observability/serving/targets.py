"""What a request asks for: RFC 9112, section 3.2, and RFC 3986."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import frozen

_MAX_FIELDS = 64
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_OUTSIDE = re.compile("[^!-~]")


@frozen
class Target:
    """The target of a request, decoded.

    Attributes:
        path: Begins with "/", unless the target has none.
        query: The first value of each name.
        hosts: The host, where the target names one itself.
    """

    path: str
    query: Mapping[str, str]
    hosts: tuple[str, ...] = ()


def read_target(text: str) -> Target:
    """Take the target of a request apart.

    Raises:
        ValueError: It is no address; why not.
    """
    if _OUTSIDE.search(text):
        raise ValueError("an address has visible ASCII characters alone: escape others with %")
    if _BAD_ESCAPE.search(text):
        raise ValueError("in an address, two hexadecimal digits follow each %")
    whole = text.split("#", 1)[0]
    hosts: tuple[str, ...] = ()
    if whole.startswith("/"):
        path, _, query = whole.partition("?")
    else:
        try:
            parts = urlsplit(whole)
        except ValueError as error:
            raise ValueError("the target is no address") from error
        path, query = parts.path, parts.query
        hosts = (parts.netloc,) if parts.netloc else ()
    try:
        return Target(unquote(path, errors="strict"), _fields(query), hosts)
    except UnicodeDecodeError as error:
        raise ValueError("an address is UTF-8, escaped with %") from error


def _fields(query: str) -> dict[str, str]:
    if query.count("&") >= _MAX_FIELDS:
        raise ValueError(f"more than {_MAX_FIELDS} parameters")
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
        found.setdefault(name, value)
    return found
