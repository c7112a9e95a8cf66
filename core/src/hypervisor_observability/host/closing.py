"""The end of a plugin that only exposes metrics: in a thread of its own, since it may hang."""

import threading
from collections.abc import Callable

from attrs import define, field

from ..threads.one_thread import OneThread


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
    _thread: OneThread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = OneThread(self.name)

    def ensure_waiting(self) -> None:
        """Have the thread wait to be asked: at the end of the process, when it is needed,
        Python 3.12 and later start no thread any more.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        self._thread.start(self._close_when_asked)

    def begin(self) -> OneThread | None:
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
            return None
        return self._thread

    def _close_when_asked(self) -> None:
        self._asked.wait()
        self.close()
