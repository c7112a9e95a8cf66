"""Ctrl-C and SIGTERM, for commands that run until they are told to stop."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from attrs import define, field


@define(eq=False)
class StopSignals:
    """What Ctrl-C and SIGTERM do: they end the start at once, and what runs in order.

    Attributes:
        running: Whether there is something to save.
        stopping: Set by the first signal; a second one interrupts.
    """

    running: bool = False
    stopping: threading.Event = field(factory=threading.Event)
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
