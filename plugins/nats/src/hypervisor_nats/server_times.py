"""Times as a server writes them: RFC 3339 in UTC, to the nanosecond."""

from datetime import datetime


def moment_of(text: str) -> datetime:
    """Read one.

    Raises:
        ValueError: It is none.
    """
    # Nanoseconds are more than ``fromisoformat`` takes.
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")


def seconds_between(earlier: str, later: str) -> float:
    """Give the seconds between two moments of a server's clock, at least 0.

    Raises:
        ValueError: One of them cannot be read.
    """
    return max(0.0, (moment_of(later) - moment_of(earlier)).total_seconds())
