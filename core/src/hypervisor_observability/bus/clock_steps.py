"""Follow steps of the wall clock whenever the log is drained; count and report them."""

import contextlib
from _thread import start_new_thread
from collections.abc import Callable

from ..events import clock
from ..text.limited_log import LimitedLog


class ClockSteps:
    """The steps that were followed since a bus was made.

    Args:
        limited_log: Gets a line for each step.

    Attributes:
        count: How many there were.
    """

    def __init__(self, limited_log: LimitedLog) -> None:
        self._limited_log = limited_log
        self._seen = clock.steps
        self._listeners: tuple[Callable[[float], object], ...] = ()
        self.count = 0

    def tell(self, listener: Callable[[float], object]) -> None:
        """Call *listener* with the seconds of each step from now on, in another thread."""
        self._listeners = (*self._listeners, listener)

    def follow(self, _end: int) -> None:
        """Check whether the clock was stepped. May be called under the log's lock."""
        clock.follow_wall_clock()
        if clock.steps != self._seen:
            self.count += clock.steps - self._seen
            self._seen = clock.steps
            # Under the lock nothing is told: neither a handler nor a disk may hold it up.
            with contextlib.suppress(RuntimeError):  # there can be no thread: it is counted
                start_new_thread(self._tell, (clock.last_step_ns / 1e9,))

    def _tell(self, step_seconds: float) -> None:
        self._limited_log.warning(
            "clock", "the wall clock was stepped by %+.3f seconds: times follow it", step_seconds
        )
        for listener in self._listeners:
            try:
                listener(step_seconds)
            except Exception as error:  # noqa: BLE001 - one listener's fault stays its own
                self._limited_log.warning("clock listener", "a listener raised", error=error)
