"""How long something took."""

from ..events.event import HypervisorEvent
from .open_work import Open
from .uncounted import Uncounted


def seconds_between(
    begun: Open, event: HypervisorEvent, uncounted: Uncounted, metric: str
) -> float:
    """Give how long something took, never negative.

    Args:
        begun: Its beginning.
        event: Its end; a duration that it says was measured (``duration_seconds``) is taken.
        uncounted: Where a duration that is none is counted.
        metric: For which metric.
    """
    measured = uncounted.amount(event, "duration_seconds", metric)
    if measured is not None:
        return float(measured)
    return max(0, event.timestamp_ns - begun.start_ns) / 1e9
