"""What a worker is asked for: to deliver up to a position, and to look at once."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field


@define(eq=False)
class Flush:
    """A request: deliver everything before *target*."""

    target: int
    done: threading.Event = field(factory=threading.Event)
    complete: bool = False

    def answer(self, *, complete: bool) -> None:
        """Let go on who waits, and say whether everything was delivered."""
        self.complete = complete
        self.done.set()


@define(eq=False)
class Requests:
    """The requests to one worker: any thread makes them, one thread takes and answers them.

    Attributes:
        waking: Whether the worker was woken already.
    """

    waking: bool = field(default=False, init=False)
    # A SimpleQueue may be put to from a signal handler or a finaliser; a Condition not.
    _made: "queue.SimpleQueue[Flush | None]" = field(factory=queue.SimpleQueue, init=False)
    _taken: list[Flush] = field(factory=list, init=False)

    def make(self, request: Flush) -> None:
        """Ask for *request* to be answered."""
        self._made.put(request)

    def wake(self) -> None:
        """Have the worker look at once."""
        self._made.put(None)

    def take(self, seconds: float) -> None:
        """Wait for *seconds* or a request, and take the requests that are there."""
        with suppress(queue.Empty):
            request = self._made.get(timeout=seconds)
            while True:
                if request is not None:
                    self._taken.append(request)
                request = self._made.get_nowait()
        self.waking = False

    def answer(self, answer: Callable[[Flush], bool]) -> None:
        """Have what was taken answered in its order, up to the first that has to wait.

        Args:
            answer: Tells whether it could answer a request.
        """
        for request in self._taken[:]:
            if not answer(request):
                return
            with suppress(ValueError):  # refused meanwhile
                self._taken.remove(request)

    def refuse(self) -> None:
        """Answer those who wait for a flush that there will be none."""
        self.take(0)
        for request in self._taken[:]:
            request.done.set()
        self._taken.clear()
