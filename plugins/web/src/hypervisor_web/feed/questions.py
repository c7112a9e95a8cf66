"""What a request's query says, checked."""

from collections.abc import Mapping
from http import HTTPStatus

from hypervisor_observability.errors import FilterError
from hypervisor_observability.serving.pages import Refused
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.views import View

MOST = 1 << 53
"""The greatest integer that JavaScript has (ECMA-262, Number.MAX_SAFE_INTEGER)."""


def view_of(observers: Observers, query: Mapping[str, str]) -> View:
    """Give the view that ``filter`` asks for.

    Raises:
        Refused: The filter cannot be read.
    """
    try:
        return observers.views.get(query.get("filter", ""))
    except FilterError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error


def number(query: Mapping[str, str], name: str, most: int = MOST) -> int | None:
    """Give an integer from 0 to *most*, greater ones as *most*; None where there is none.

    Raises:
        Refused: It is none.
    """
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name}: expected a number from 0, got {text!r:.40}")
    return most if len(text) > 20 else min(most, int(text))
