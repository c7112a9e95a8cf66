"""The end of a plugin that only exposes metrics: in a thread of its own, since it may hang."""

import threading
from collections.abc import Callable

from attrs import define, field

from .delivery.lane import in_daemon_thread


@define(eq=False)
class Closing:
    """Calls *close* once, in a daemon thread.

    Attributes:
        name: Of the plugin.
        close: What is called.
    """

    name: str
    close: Callable[[], None]
    _asked: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def ensure_waiting(self) -> None:
        """Have the thread wait to be asked: at the end of the process, when it is needed,
        Python 3.12 and later start no thread any more.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        if self._thread is None:
            self._thread = in_daemon_thread(self.name, self._close_when_asked)

    def begin(self) -> threading.Thread | None:
        """Have it called.

        Returns:
            The thread to wait for; None if it was called at once, for lack of a thread: there
            was no event then, or the system has no threads left.
        """
        self._asked.set()
        try:
            self.ensure_waiting()
        except RuntimeError:
            self.close()
        return self._thread

    def _close_when_asked(self) -> None:
        self._asked.wait()
        self.close()
