"""Links into Jaeger's user interface."""

import re
from urllib.parse import urlsplit

from hypervisor_observability.causality.causal_trace import CausalTraceId

DEFAULT_UI_URL = "http://127.0.0.1:16686"
"""Where Jaeger serves its user interface unless told otherwise (Jaeger 2, APIs)."""

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def wide_trace_id(text: str) -> str:
    """Give the 32 digits under which Jaeger has the trace of *text*.

    Args:
        text: A causal id of the trace, its short trace id, or the 32 digits themselves.

    Raises:
        ValueError: It is none of these.
    """
    if _TRACE_ID.fullmatch(text):
        return text
    # Any span will do: it has no part in the trace's id.
    return CausalTraceId.from_string(text if "/" in text else f"{text}/1").to_w3c()[0]


def compare_url(one: str, other: str, *, ui_url: str = DEFAULT_UI_URL) -> str:
    """Give the address of the page that compares two traces, by their 32 digits each.

    Raises:
        ValueError: An id or *ui_url* is malformed.
    """
    base, _, one_id = trace_url(one, ui_url=ui_url).rpartition("/")
    other_id = trace_url(other, ui_url=ui_url).rpartition("/")[2]
    return f"{base}/{one_id}...{other_id}"


def trace_url(trace: CausalTraceId | str, *, ui_url: str = DEFAULT_UI_URL) -> str:
    """Give the address of the page that shows a trace.

    Args:
        trace: A causal id of the trace, or the 32 hexadecimal digits that spans have.
        ui_url: Where the user interface is, with its base path if it has one.

    Raises:
        ValueError: *trace* or *ui_url* is malformed.
    """
    trace_id = trace.to_w3c()[0] if isinstance(trace, CausalTraceId) else trace
    if not _TRACE_ID.fullmatch(trace_id):
        msg = f"expected a trace id of 32 lower-case hexadecimal digits, got {trace_id[:80]!r}"
        raise ValueError(msg)
    return f"{checked_ui_url(ui_url)}/trace/{trace_id}"


def checked_ui_url(url: str) -> str:
    """Give *url* without a slash at its end.

    Raises:
        ValueError: It is no http or https URL, or has user information, a query or a fragment.
    """
    expected = f"expected a URL such as {DEFAULT_UI_URL}"
    if not _VISIBLE_ASCII.fullmatch(url):
        msg = f"{expected}, got one that is empty or has blanks or letters beyond ASCII"
        raise ValueError(msg)
    if not _has_host(url):
        msg = f"{expected}, with http or https, a host and a port from 1 to 65535"
        raise ValueError(msg)
    if any(character in url for character in "@?#"):
        msg = f"{expected}, without user information, query and fragment"
        raise ValueError(msg)
    return url.rstrip("/")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
