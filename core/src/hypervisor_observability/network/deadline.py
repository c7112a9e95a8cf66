"""A moment by which something must have ended, handed from one wait to the next."""

import time

from attrs import frozen


@frozen
class Deadline:
    """One for the whole of a piece of work, however many waits it consists of.

    Attributes:
        at: The moment, on the clock of ``time.monotonic``.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Give the one that passes in so many *seconds*."""
        return cls(time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        """Whether it has."""
        return time.monotonic() >= self.at

    def left(self) -> float:
        """Give the seconds that are left, which is what a wait may take.

        Raises:
            TimeoutError: None are.
        """
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def within(self, seconds: float) -> "Deadline":
        """Give the one that passes in so many *seconds*, or with this one."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def share(self, parts: float) -> "Deadline":
        """Give the end of the first of as many equal *parts* of what is left; 1.25 leave a fifth.

        Raises:
            TimeoutError: Nothing is.
        """
        return Deadline.after(self.left() / parts)
