"""What a store tells of itself, of which the rest of the host need fear nothing.

Its status goes into a file that others read, its metrics stand beside all others: of both that is
left out which is not as it should be.
"""

import math
import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from ..metrics.families import HistogramValue, MetricFamily, MetricKind

_MAX_VALUES = 100
_MAX_CHARACTERS = 1_000
_GREATEST = 2**63
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def plain_status(told: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what JSON has a form for, and not too much of it."""
    plain = {
        str(key): value[:_MAX_CHARACTERS] if isinstance(value, str) else value
        for key, value in told.items()
        if isinstance(key, str) and len(key) <= _MAX_CHARACTERS and _is_scalar(value)
    }
    return dict(list(plain.items())[:_MAX_VALUES])


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str) or _is_number(value)


def _is_number(value: object) -> bool:
    """Tell whether it is one that every reader of JSON can read; True is 1."""
    return isinstance(value, int | float) and -_GREATEST < value < _GREATEST


def whole_families(told: Iterable[Any], taken: Container[str]) -> list[MetricFamily]:
    """Give those families that every plugin can show.

    Args:
        told: What a store gives.
        taken: Names of others' families.
    """
    families: dict[str, MetricFamily] = {}
    for family in told:
        if _is_whole(family) and family.name not in taken:
            families.setdefault(family.name, family)
    return list(families.values())


def _is_whole(family: Any) -> bool:
    if not isinstance(family, MetricFamily):
        return False
    told: Any = family  # nobody has checked what its author put in
    names, bounds = told.label_names, told.bounds
    return (
        _is_name(told.name)
        and isinstance(told.kind, MetricKind)
        and isinstance(told.help, str)
        and isinstance(told.unit, str)
        and isinstance(names, tuple)
        and all(map(_is_name, names))
        and isinstance(bounds, tuple)
        and all(map(_is_real, bounds))
        and _are_series(told.series, names, _is_real)
        and _are_series(told.histograms, names, lambda value: _is_histogram(value, bounds))
        and not (told.exemplars or told.since_ns_of or told.taken_over)
    )


def _are_series(series: object, names: tuple[str, ...], is_right: Callable[[Any], bool]) -> bool:
    return isinstance(series, Mapping) and all(
        _are_labels(labels, names) and is_right(value) for labels, value in series.items()
    )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _are_labels(labels: object, names: tuple[str, ...]) -> bool:
    return (
        isinstance(labels, tuple)
        and len(labels) == len(names)
        and all(isinstance(label, str) for label in labels)
    )


def _is_histogram(value: Any, bounds: tuple[float, ...]) -> bool:
    if not isinstance(value, HistogramValue):
        return False
    counts: Any = value.counts
    return (
        _is_real(value.sum)
        and isinstance(counts, tuple)
        and len(counts) == len(bounds) + 1
        and all(isinstance(count, int) for count in counts)
    )
