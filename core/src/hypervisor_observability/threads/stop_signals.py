"""Ctrl-C and SIGTERM, for commands that run until they are told to stop."""

import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from attrs import define, field


class SignalEvent:
    """An event that a signal handler may set in the thread that waits for it.

    ``threading.Event`` must not be set there: a signal that arrives while ``wait`` holds the
    event's own lock would wait for this lock for ever.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def set(self) -> None:
        """Wake whoever waits."""
        self._is_set = True
        with suppress(RuntimeError):  # it is open
            self._closed.release()

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for *timeout* seconds at most; tell whether it is."""
        if not self._is_set and self._closed.acquire(timeout=-1 if timeout is None else timeout):
            with suppress(RuntimeError):  # for others who wait
                self._closed.release()
        return self._is_set


@define(eq=False)
class StopSignals:
    """What Ctrl-C and SIGTERM do: they end the start at once, and what runs in order.

    Attributes:
        running: Whether there is something to save.
        stopping: Set by the first signal; a second one interrupts.
    """

    running: bool = False
    stopping: SignalEvent = field(factory=SignalEvent)
    _before: dict[int, Any] = field(factory=dict, init=False)

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        wanted_before = self.stopping.is_set()
        self.stopping.set()
        if wanted_before or not self.running:
            signal.default_int_handler(number, frame)
