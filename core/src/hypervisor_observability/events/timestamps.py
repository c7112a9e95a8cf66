"""Convert nanoseconds since the epoch, which events hold, to and from what people use."""

import math
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LEAST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_GREATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

# Until 2096 a float of seconds is nearer to its microsecond than half of one: 2**32 s have 53
# bits for 2**-21 s. That way to a datetime takes little more than half the time.
_EXACT_BEFORE_NS = 4_000_000_000 * 1_000_000_000


def as_datetime(timestamp_ns: int) -> datetime:
    """Give the UTC datetime, in whole microseconds, of nanoseconds since the epoch."""
    if 0 <= timestamp_ns < _EXACT_BEFORE_NS:
        return datetime.fromtimestamp(timestamp_ns // 1_000 / 1_000_000, UTC)
    return _EPOCH + timedelta(microseconds=timestamp_ns // 1_000)


def nanoseconds(timestamp: object) -> int:
    """Turn a time into nanoseconds since the epoch.

    Args:
        timestamp: An aware datetime, or seconds since the epoch as a number.

    Raises:
        ValueError: A naive datetime, a number that is not finite or outside the years 1 to
            9999, or anything else.
    """
    if isinstance(timestamp, datetime):
        if timestamp.utcoffset() is None:
            raise ValueError(
                f"naive timestamp {timestamp.isoformat()}: give it a time zone, "
                "such as datetime.now(UTC)"
            )
        microseconds = (timestamp - _EPOCH) // _MICROSECOND
    elif isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        if not -math.inf < timestamp < math.inf:
            raise ValueError(f"timestamp {timestamp} is not finite")
        scaled = timestamp * 1_000_000
        microseconds = round(scaled) if _LEAST <= scaled <= _GREATEST else _GREATEST + 1
    else:
        raise ValueError(
            f"timestamp of type {type(timestamp).__name__}: expected an aware datetime or "
            "seconds since the epoch"
        )
    if not _LEAST <= microseconds <= _GREATEST:
        # An aware datetime too can lie outside, once its time zone is taken off.
        raise ValueError("timestamp outside the years 1 to 9999")
    return microseconds * 1_000
