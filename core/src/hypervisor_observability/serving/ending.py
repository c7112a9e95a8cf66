"""The end of a request or a stream, told to whoever makes the answer."""

import threading
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Ending:
    """Whether an answer has to end, as nobody waits for more of it; set once, from any thread."""

    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _why: str = field(default="", init=False)
    _wake: list[Callable[[], object]] = field(factory=list, init=False)

    @property
    def why(self) -> str:
        """Why it ends, for people; empty while it goes on."""
        return self._why

    def is_set(self) -> bool:
        """Tell whether the stream has to end."""
        return bool(self._why)

    def call(self, wake: Callable[[], object]) -> None:
        """Have *wake* called when the stream has to end, or at once if it has to.

        Args:
            wake: Wakes what makes the stream, which may be waiting for something to tell. It is
                called in another thread, neither blocks nor raises.
        """
        with self._lock:
            if not self._why:
                self._wake.append(wake)
                return
        wake()

    def set(self, why: str) -> None:
        """End the stream; without effect if it has to end already."""
        with self._lock:
            if self._why:
                return
            self._why = why
            waking, self._wake = self._wake, []
        for wake in waking:
            wake()
