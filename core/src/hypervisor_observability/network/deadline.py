"""A moment by which something must have ended, handed from one wait to the next."""

import time

from attrs import frozen


@frozen
class Deadline:
    """A deadline for a piece of work as a whole, however often it waits.

    Attributes:
        at: The moment, on the clock of ``time.monotonic``.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that passes in *seconds* from now."""
        return cls(time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.at

    def left(self) -> float:
        """Return the seconds left: the longest that a wait may take.

        Raises:
            TimeoutError: The deadline has passed.
        """
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def within(self, seconds: float) -> "Deadline":
        """Return the deadline that passes in *seconds* from now, but no later than this one."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def share(self, parts: float) -> "Deadline":
        """Return the end of the first of *parts* equal parts of the time that is left.

        With 1.25 *parts*, a fifth of the time remains after it.

        Raises:
            TimeoutError: No time is left.
        """
        return Deadline.after(self.left() / parts)
