"""Times as people name them."""

from datetime import UTC, datetime, timedelta

from ..events.timestamps import as_datetime, nanoseconds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str) -> int:
    """Give the nanoseconds since the epoch that *text* means.

    Args:
        text: ISO 8601 (UTC unless it says otherwise), or how long ago: ``30s``, ``5m``, ``2h``,
            ``1d`` before this call.

    Raises:
        ValueError: It is neither.
    """
    try:
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return nanoseconds(datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])}))
        moment = datetime.fromisoformat(text)
        return nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        message = f"{text!r} is not a time: expected 2026-11-26T12:00, or 30s, 5m, 2h, 1d"
        raise ValueError(message) from None


def write_moment(timestamp_ns: int) -> str:
    """Write a time that ``read_moment`` reads as the same, to the microsecond."""
    return as_datetime(timestamp_ns).isoformat().removesuffix("+00:00") + "Z"
