"""Headers and environments: where trace ids are written to travel, and found on arrival.

A carrier is whatever maps strings to strings, or a list of pairs. Names are found in whatever
case they stand there: HTTP does not tell cases apart, environments have capitals. A header that
stands there several times is found each time, in the order of the carrier.
"""

from collections.abc import Callable, Container, Iterator, MutableMapping
from typing import Any, TypeVar

from ..threads.interruptions import is_from_handler
from . import traceparent

T = TypeVar("T")


def inject(
    carrier: MutableMapping[str, str],
    trace: Any,
    *,
    environment: bool = False,
    sampled: bool = True,
    tracestate: str = "",
) -> bool:
    """Write *trace*, a ``CausalTraceId``, into *carrier*: see ``propagation.inject``."""
    try:
        parent = trace.to_traceparent(sampled=sampled)
        (present,) = _values(carrier, "tracestate")
        others = [one for one in (tracestate, *present) if isinstance(one, str) and one]
        state = traceparent.format_tracestate(trace.depth, ",".join(others))
        _replace(carrier, "traceparent", parent, environment=environment)
        _replace(carrier, "tracestate", state, environment=environment)
    except Exception as error:  # it stands in the path of what the application sends
        if is_from_handler(error):
            raise
        return False
    return True


def extract(carrier: Any, make: Callable[[Any, str], T]) -> tuple[T | None, Exception | None]:
    """Give what *make* makes of the ``traceparent`` and the ``tracestate`` of *carrier*.

    Several ``tracestate`` headers are one list, in their order (W3C Trace Context, section
    3.3.1; RFC 9110, section 5.3). One of which nothing can be read counts as empty: it must not
    spoil the ``traceparent``. Several of those are none, be they equal.

    Returns:
        That, or None where neither is there; and why they cannot be read. Never raises.
    """
    try:
        parents, states = _values(carrier, "traceparent", "tracestate")
        if not parents:
            return None, None
        if len(parents) > 1:
            raise ValueError(f"traceparent: expected one, got {len(parents)}")
        state = ",".join(state for state in states if isinstance(state, str))
        return make(parents[0], state), None
    except Exception as error:  # a peer's input must not reach the application
        if is_from_handler(error):
            raise
        return None, error


def read_baggage(carrier: Any) -> str:
    """Give the ``baggage`` of *carrier*; several headers are one (W3C Baggage, section 3.1)."""
    (values,) = _values(carrier, "baggage")
    return ",".join(value for value in values if isinstance(value, str))


def write_baggage(
    carrier: MutableMapping[str, str], baggage: str, *, environment: bool = False
) -> None:
    """Write a ``baggage`` into *carrier*, in the place of what stands there."""
    _replace(carrier, "baggage", baggage, environment=environment)


def _values(carrier: Any, *names: str) -> list[list[Any]]:
    """Give the values that stand in *carrier* under each of *names*, in its order."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    # A server's environ has what the request said under names of its own (PEP 3333), and beside
    # that the environment of the process, which says nothing about the request.
    wsgi = isinstance(carrier, dict) and isinstance(carrier.get("wsgi.version"), tuple)
    if wsgi:
        found = {f"http_{name}": values for name, values in found.items()}
    for name, value in _pairs(carrier, found):
        found[name].append(text_of(value))
    return list(found.values())


def _pairs(carrier: Any, names: Container[str]) -> Iterator[tuple[str, Any]]:
    """Give what stands in *carrier* under *names*, in its order. Nothing else is looked up."""
    places = [place for place in carrier if _name(place) in names]
    if all(isinstance(place, (str, bytes)) for place in places):
        if len({_name(key) for key in places}) < len(places):
            # Libraries whose headers can stand there several times give each by items().
            places = [pair for pair in carrier.items() if _name(pair) in names]
        else:
            places = [(key, carrier[key]) for key in places]
    for place in places:
        yield _name(place), place[1]


def _name(place: Any) -> str:
    """Give the name, in lower case, that a key is, or that a pair has; empty: it is neither."""
    if isinstance(place, (tuple, list)):
        place = place[0] if len(place) == 2 else None  # a name and a value
    name = text_of(place)
    return name.lower() if isinstance(name, str) else ""


def text_of(value: Any) -> Any:
    """Give bytes as the text that they are in UTF-8; anything else as it is."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


def _replace(
    carrier: MutableMapping[Any, Any], name: str, value: str, *, environment: bool
) -> None:
    # Two spellings of one header would reach the peer as two headers.
    spellings = [key for key in carrier if isinstance(key, str) and key.lower() == name]
    for key in dict.fromkeys(spellings):
        try:
            del carrier[key]
        except KeyError:  # with the spelling before: it was one header
            pass
    carrier[name.upper() if environment else name] = value
