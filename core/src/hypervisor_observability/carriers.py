"""Headers and environments: where trace ids are written to travel, and found on arrival.

A carrier is any mapping of strings to strings. Names are found in whatever case they
stand there: HTTP does not tell cases apart, environments have capitals.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal

from . import traceparent

Accept = Literal["link", "continue", "restart"]
"""How far the peer is trusted that a carrier comes from: see ``propagation``."""


def check_accept(accept: object) -> None:
    """Check a rule of trust.

    Raises:
        ValueError: *accept* is none of the three.
    """
    if accept not in ("link", "continue", "restart"):
        raise ValueError(f"accept: expected 'link', 'continue' or 'restart', got {accept!r}")


def read_baggage(carrier: Mapping[str, str]) -> str:
    """Give the ``baggage`` of *carrier*; several headers are one (W3C Baggage, section 3.1)."""
    values = [value for value in _values(carrier, "baggage") if isinstance(value, str)]
    return ",".join(values)


def write_baggage(
    carrier: MutableMapping[str, str], baggage: str, *, environment: bool = False
) -> None:
    """Write a ``baggage`` into *carrier*, in the place of what stands there."""
    _replace(carrier, "baggage", baggage, environment=environment)


def read(carrier: Mapping[str, str]) -> tuple[str, str] | None:
    """Give the ``traceparent`` and the ``tracestate`` of *carrier*; None if neither is there.

    Several ``tracestate`` headers are one list (W3C Trace Context, section 3.3.1). One of
    which nothing can be read counts as empty: it must not spoil the ``traceparent``.

    Raises:
        ValueError: There are two different ``traceparent``.
    """
    parents = set(_values(carrier, "traceparent"))
    if not parents:
        return None
    if len(parents) > 1:
        raise ValueError(f"traceparent: expected one, got {len(parents)} that differ")
    states = [state for state in _values(carrier, "tracestate") if isinstance(state, str)]
    return parents.pop(), ",".join(states)


def write(
    carrier: MutableMapping[str, str],
    parent: str,
    depth: int,
    *,
    others: str = "",
    environment: bool = False,
) -> None:
    """Write a ``traceparent``, and a ``tracestate`` that tells *depth*, into *carrier*.

    Args:
        carrier: Changed in place. Entries of other vendors in its ``tracestate`` are kept.
        parent: The ``traceparent``, which replaces one that stands there.
        depth: The depth of the id in *parent*.
        others: Entries of other vendors to hand on, as a ``tracestate``.
        environment: Write the names in capitals.
    """
    present = [state for state in _values(carrier, "tracestate") if isinstance(state, str)]
    state = traceparent.format_tracestate(depth, ",".join(filter(None, [others, *present])))
    _replace(carrier, "traceparent", parent, environment=environment)
    _replace(carrier, "tracestate", state, environment=environment)


def _spellings(carrier: Mapping[Any, Any], name: str) -> Iterator[Any]:
    return (key for key in carrier if isinstance(key, str) and key.lower() == name)


def _values(carrier: Mapping[str, str], name: str) -> list[Any]:
    return [carrier[key] for key in _spellings(carrier, name)]


def _replace(
    carrier: MutableMapping[str, str], name: str, value: str, *, environment: bool
) -> None:
    # Two spellings of one header would reach the peer as two headers.
    for key in list(_spellings(carrier, name)):
        del carrier[key]
    carrier[name.upper() if environment else name] = value
