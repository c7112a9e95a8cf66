"""When a plugin that was given up is tried again: as a breaker probes, with pauses that double."""

from attrs import define, field

from ..threads.one_thread import OneThread

FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 300.0
QUIET_SECONDS = 600.0
"""Time without a hang after which the next one counts as the first."""
MAX_ABANDONED = 4
"""Most threads of one plugin that hang in its hooks: then it waits until one comes back."""


@define(eq=False)
class Recovery:
    """The hangs of one plugin, and when it is tried again.

    All times are seconds on the clock of whoever looks for hangs.

    Attributes:
        times: How often it was given up, without a quiet time between.
    """

    times: int = field(default=0, init=False)
    _quiet_from: float = field(default=0.0, init=False)
    _due: float = field(default=0.0, init=False)
    _abandoned: list[OneThread] = field(factory=list, init=False)

    def note(self, now: float, thread: OneThread | None) -> float:
        """Note that an instance was given up.

        Args:
            now: The time.
            thread: The one that hangs in it; None if it could not even be made.

        Returns:
            Seconds until the next one may be tried; 0 the first time.
        """
        if now - self._quiet_from > QUIET_SECONDS:
            self.times = 0
        self.times += 1
        pause = 0.0
        if self.times > 1:
            pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.times - 2, 16))
        if thread is not None:
            self._abandoned.append(thread)
        self._due = self._quiet_from = now + pause
        return pause

    def is_due(self, now: float) -> bool:
        """Whether another one may be tried."""
        self._abandoned = [thread for thread in self._abandoned if not thread.join(0)]
        if now < self._due or len(self._abandoned) >= MAX_ABANDONED:
            return False
        self._quiet_from = now
        return True
