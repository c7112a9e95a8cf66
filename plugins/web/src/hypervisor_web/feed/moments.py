"""When events came and which went wrong, by their positions: to find a place among many."""

from array import array
from bisect import bisect_left

from attrs import define, field

from hypervisor_observability.facts.trouble import is_trouble
from hypervisor_observability.stores import Entry
from hypervisor_web.feed.ring import Ring

_TRIM_EVENTS = 4_096


@define(eq=False)
class Moments:
    """What the ring can only tell by unpacking its events: 8 bytes for each of them.

    Whoever reads it holds the lock of the observers.

    Attributes:
        ring: Where the events are.
        wrong: Positions of those that say that something went wrong, rising.
    """

    ring: Ring
    wrong: "array[int]" = field(factory=lambda: array("q"), init=False)
    # Never falling: clocks step, and each process has its own, but positions give the order.
    _times_us: "array[int]" = field(factory=lambda: array("q"), init=False)
    _first: int = field(default=0, init=False)

    def take(self, entry: Entry, position: int) -> None:
        """Note an event."""
        times = self._times_us
        now = entry.event.timestamp_ns // 1_000
        times.append(max(now, times[-1]) if times else now)
        if is_trouble(entry.event):
            self.wrong.append(position)
        if self.ring.oldest - self._first >= max(_TRIM_EVENTS, len(times) // 2):
            self._trim()

    def at(self, position: int) -> int:
        """When an event came that is in the ring, in microseconds since the epoch.

        Of one that has just left it, when the oldest came.
        """
        return self._times_us[max(0, position - self._first)]

    def since(self, time_us: float) -> int:
        """Give the position of the first event that came then or later."""
        return self._first + bisect_left(self._times_us, time_us)

    def _trim(self) -> None:
        oldest = self.ring.oldest
        del self._times_us[: oldest - self._first]
        del self.wrong[: bisect_left(self.wrong, oldest)]
        self._first = oldest
