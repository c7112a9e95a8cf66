"""What the page asks about traces."""

import time
from collections.abc import Callable
from http import HTTPStatus
from math import ceil

from hypervisor_observability.errors import AmbiguousIdError
from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_web.answers import json_bytes, json_page, json_text, unchanged
from hypervisor_web.event_json import MOST_PAYLOAD_BYTES, event_dict
from hypervisor_web.traces.looking import OutOfTimeError, Past
from hypervisor_web.traces.traces import Built, Traces

_MOST_EVENTS = 200
_MOST_BYTES = 4 << 20


def endpoints(traces: Traces, past: Past) -> dict[str, Callable[[Request], Page]]:
    """Give the pages by their paths.

    Args:
        traces: Those that are looked at.
        past: What was recorded.
    """
    return {
        "/api/trace": lambda request: _trace(traces, past, request),
        "/api/work": lambda request: _work(traces, past, request),
    }


def _trace(traces: Traces, past: Past, request: Request) -> Page:
    """Answer with a trace; with few words where it is known.

    A trace of which the server knows more than it has had the time to build is answered as it
    stood, with the milliseconds after which to ask again.
    """
    built, others = _built(traces, past, request)
    behind = max(1, ceil(built.wait_seconds * 1_000)) if traces.is_behind(built) else 0
    if request.query.get("known") == built.version:
        return json_page({"version": built.version, "ask_in_ms": behind}) if behind else unchanged()
    at = request.query.get("at")
    row = None if at is None else built.row_of_event(at)
    now = time.time_ns() // 1_000
    of_this_request = json_bytes({"ask_in_ms": behind, "at": row, "others": others, "now": now})
    return json_text(b"%s,%s" % (of_this_request[:-1], built.body[1:]))


def _work(traces: Traces, past: Past, request: Request) -> Page:
    """Answer with the events of a piece of work, by the key that it has among the columns."""
    built, _ = _built(traces, past, request)
    key = request.query.get("key", "")
    row = built.row_of_key(int(key)) if key.isascii() and key.isdigit() and len(key) < 16 else None
    if row is None:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            "this piece of work is no longer there: the trace has been read again since",
        )
    places = built.columns.parts.of(row)
    shown = places
    if len(places) > _MOST_EVENTS:  # how it began, and how it ended
        shown = [*places[: _MOST_EVENTS // 2], *places[-_MOST_EVENTS // 2 :]]
    room = min(MOST_PAYLOAD_BYTES, _MOST_BYTES // max(1, len(shown)))
    return json_page(
        {
            "key": int(key),
            "version": built.version,
            "left_out": len(places) - len(shown),
            "events": [event_dict(None, built.events[place].entry, room) for place in shown],
        }
    )


def _built(traces: Traces, past: Past, request: Request) -> tuple[Built, int]:
    """Give the newest trace that the request names, and how many others it names, too."""
    text = request.query.get("id", "")
    if not text:
        raise Refused(HTTPStatus.BAD_REQUEST, "id: expected the id of a trace")
    try:
        keys = traces.find(past, text, request.ending)
    except AmbiguousIdError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
    except OutOfTimeError as error:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"no id among {error} begins with {text[:100]!r}, and to look through all takes too"
            " long here: give the whole id of a trace, or use 'hvobs tree'",
        ) from error
    built = traces.built(past, keys[0], request.ending) if keys else None
    if built is None:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"no trace, saga, session or event has an id that begins with {text[:100]!r}",
        )
    return built, len(keys) - 1
