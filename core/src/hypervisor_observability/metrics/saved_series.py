"""Counters and histograms as plain JSON values, to be kept over a restart."""

from typing import Any

from .histogram import Buckets, Histogram
from .instruments import Counter
from .plain_values import amount, count, texts


def state_of_instrument(instrument: Counter | Histogram) -> dict[str, Any]:
    """Give what was counted. Examples are left out: their traces grow old."""
    state: dict[str, Any] = {
        "labels": list(instrument.label_names),
        "overflowed": instrument.bounded.overflowed,
        "withdrawn": instrument.bounded.withdrawn,
    }
    if isinstance(instrument, Counter):
        state["series"] = [[list(key), value] for key, value in instrument.series.items()]
    else:
        state["bounds"] = list(instrument.bounds)
        state["series"] = [
            [list(key), list(one.counts), one.sum] for key, one in instrument.series.items()
        ]
    return state


def restore_instrument(instrument: Counter | Histogram, state: Any) -> bool:
    """Put what was counted into a fresh *instrument*.

    Returns:
        False, with nothing done, if it had other labels or bounds then.

    Raises:
        ValueError, TypeError, KeyError: *state* is something else.
    """
    names = instrument.label_names
    if texts(state["labels"]) != names:
        return False
    if isinstance(instrument, Histogram) and tuple(state["bounds"]) != instrument.bounds:
        return False
    for series in state["series"]:
        key = texts(series[0])
        if len(key) != len(names):
            raise ValueError(f"expected {len(names)} labels, got {len(key)}")
        if isinstance(instrument, Counter):
            _, value = series
            instrument.bounded.restore(key, amount(value))
        else:
            _, counts, total = series
            if len(counts) != len(instrument.bounds) + 1:
                raise ValueError(f"expected {len(instrument.bounds) + 1} counts")
            buckets = Buckets(list(map(count, counts)), amount(total))
            instrument.bounded.restore(key, buckets)
    instrument.bounded.overflowed = count(state["overflowed"])
    instrument.bounded.withdrawn = count(state["withdrawn"])
    return True
