"""A daemon thread that is started once, whatever interrupts who starts it."""

import threading
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class OneThread:
    """A thread; nobody who does not stop it is held up at the process's end.

    An exception of a signal handler may strike behind the moment when the system has begun the
    thread. Whoever comes next then starts another one, and of the two the first to come works.

    Attributes:
        name: What it is for.
    """

    name: str
    _turns: list[None] = field(factory=lambda: [None], init=False)
    _ended: threading.Event = field(factory=threading.Event, init=False)
    _known: dict[None, threading.Thread] = field(factory=dict, init=False)

    @property
    def thread(self) -> threading.Thread | None:
        """The thread; None before it is started."""
        return self._known.get(None)

    @property
    def started(self) -> bool:
        """Whether it was started."""
        return bool(self._known)

    @property
    def is_current(self) -> bool:
        """Whether it is the one that asks."""
        return self.thread is threading.current_thread()

    def start(self, work: Callable[[], object]) -> None:
        """Have the thread do *work*, unless it was started before.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        if self._known:
            return
        thread = threading.Thread(
            target=self._run, args=[work], name=f"hvobs-{self.name}", daemon=True
        )
        thread.start()
        self._known.setdefault(None, thread)

    def join(self, timeout: float) -> bool:
        """Wait at most *timeout* seconds; tell whether it has ended.

        Before Python 3.13 a ``Thread.join`` that an exception ends takes the thread for ended.
        """
        return self._ended.wait(max(0.0, timeout))

    def _run(self, work: Callable[[], object]) -> None:
        try:
            self._turns.pop()
        except IndexError:
            return
        self._known[None] = threading.current_thread()
        try:
            work()
        finally:
            self._ended.set()
