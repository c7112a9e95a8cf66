"""When events came and which went wrong, by their positions: to find a place among many."""

from array import array
from bisect import bisect_left, bisect_right

from attrs import define, field

from hypervisor_observability.facts.trouble import is_trouble
from hypervisor_observability.stores import Entry
from hypervisor_web.feed.ring import Ring

_TRIM_EVENTS = 4_096
_MOST_LOWERED = 256


@define(eq=False)
class Moments:
    """What the ring can only tell by unpacking its events: 16 bytes for each of them.

    Positions give the order, and times never fall with them, though clocks step and each process
    has its own. Where one falls, the wrong ones are taken to be the fewer: a few events from
    the future get the time of what came after them; else what came gets that of the last.

    Whoever reads it holds the lock of the observers.

    Attributes:
        ring: Where the events are.
        wrong: Positions of those that say that something went wrong, rising.
    """

    ring: Ring
    wrong: "array[int]" = field(factory=lambda: array("q"), init=False)
    _recorded_us: "array[int]" = field(factory=lambda: array("q"), init=False)
    _times_us: "array[int]" = field(factory=lambda: array("q"), init=False)  # never falling
    _first: int = field(default=0, init=False)

    def take(self, entry: Entry, position: int) -> None:
        """Note an event."""
        now = entry.event.timestamp_ns // 1_000
        self._recorded_us.append(now)
        self._add(now)
        if is_trouble(entry.event):
            self.wrong.append(position)
        if self.ring.oldest - self._first >= max(_TRIM_EVENTS, len(self._times_us) // 2):
            self._trim()

    def at(self, position: int) -> int:
        """When an event came that is in the ring, in microseconds since the epoch.

        Of one that has just left it, when the oldest came.
        """
        return self._times_us[max(0, position - self._first)]

    def since(self, time_us: float) -> int:
        """Give the position of the first event that came then or later."""
        return self._first + bisect_left(self._times_us, time_us)

    def _add(self, now: int) -> None:
        times = self._times_us
        if times and now < times[-1]:
            place = bisect_right(times, now)
            if len(times) - place > _MOST_LOWERED:
                now = times[-1]
            else:
                times[place:] = array("q", [now] * (len(times) - place))
        times.append(now)

    def _trim(self) -> None:
        oldest = self.ring.oldest
        del self._times_us[: oldest - self._first]
        del self._recorded_us[: oldest - self._first]
        if self._times_us and self._times_us[-1] > self._recorded_us[-1]:
            # What was from the future may have left the ring.
            self._times_us = array("q")
            for now in self._recorded_us:
                self._add(now)
        del self.wrong[: bisect_left(self.wrong, oldest)]
        self._first = oldest
