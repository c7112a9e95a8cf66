"""Their values as payloads have them, and payloads as the table of payloads has them."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hypervisor_observability.facts.payload_check import misfits

Payload = dict[str, Any]

_SCALARS = (str, bool, int, float)
_MAX_ATTRIBUTES = 64


def word(value: Any) -> Any:
    """Give the value of a member of one of their enumerations; anything else as it is."""
    return getattr(value, "value", value)


def moment(value: Any) -> str | None:
    """Give a time as text, ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else None


def aware(value: Any) -> datetime | None:
    """Give a time that knows its time zone; None, which is now, for anything else."""
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value
    return None


def seconds_between(begin: Any, end: Any) -> float | None:
    """Give the time between two times, in seconds, from 0; None where one of them is none."""
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        return None
    try:
        return max(0.0, (end - begin).total_seconds())
    except TypeError:  # one of them knows its time zone, the other does not
        return None


def fitting(kind: str, payload: Mapping[str, Any]) -> Payload:
    """Give a *payload* as the table has it for events of a *kind*.

    None and empty strings say nothing and are left out. What the table does not know of that kind,
    or has in another form, becomes one of the ``attributes``.
    """
    said = {
        key: value
        for key, value in payload.items()
        if value is not None and not (not value and type(value) in (str, dict))
    }
    odd = misfits(kind, said)
    if not odd:
        return said
    kept = {key: value for key, value in said.items() if key not in odd}
    attributes = dict(kept.get("attributes") or {})
    for name, value in _flat({key: said[key] for key in odd}):
        if len(attributes) < _MAX_ATTRIBUTES:
            attributes.setdefault(name, value)
    if attributes:
        kept["attributes"] = attributes
    return kept


def _flat(values: Mapping[Any, Any], above: str = "", depth: int = 4) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and depth:
            # Key by key, so that the names of secrets are still found.
            below = "" if name == "attributes" else f"{name}."
            yield from _flat(value, below, depth - 1)
        elif isinstance(value, float) and not math.isfinite(value):
            yield name, str(value)
        elif isinstance(value, _SCALARS):
            yield name, word(value)
        elif isinstance(value, datetime):
            yield name, value.isoformat()
        elif isinstance(value, list | tuple | set | frozenset):
            yield name, ", ".join(str(word(one)) for one in value if isinstance(one, _SCALARS))
        elif value is not None:
            yield name, type(value).__name__
