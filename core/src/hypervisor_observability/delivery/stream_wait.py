"""When to look again at a stream that could not be read."""

import random
import time

from attrs import define, field

_LEAST_SECONDS = 0.1
_MOST_SECONDS = 5.0


@define(eq=False)
class StreamWait:
    """Backs off from a stream, however often it fails, and never gives it up."""

    _failures: int = field(default=0, init=False)
    _until: float = field(default=0.0, init=False)

    @property
    def waiting(self) -> bool:
        """Whether it is too early for the next try."""
        return time.monotonic() < self._until

    def fail(self) -> None:
        """Note that the stream could not be read."""
        longest = min(_MOST_SECONDS, _LEAST_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        # Some of it is for certain: whoever asks at once would find the stream as it was.
        seconds = longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, keeps no secret
        self._until = time.monotonic() + seconds

    def succeed(self) -> None:
        """Note that it was read."""
        self._failures, self._until = 0, 0.0
