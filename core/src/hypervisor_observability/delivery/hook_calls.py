"""Hook calls of one plugin instance: one at a time, and it is known since when one runs."""

import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define, field


class AbandonedError(BaseException):
    """The instance was given up while this thread was in one of its hooks.

    Not an ``Exception``, so that nothing on the way mistakes it for one of the plugin's.
    """


@define(eq=False)
class HookCalls:
    """The calls to one instance.

    Attributes:
        hook: Name of the hook that runs; empty if none does.
        abandoned: Whether the instance was given up: it is never called again.
    """

    hook: str = field(default="", init=False)
    abandoned: bool = field(default=False, init=False)
    _since: float = field(default=0.0, init=False)
    # Held for moments only, never while a hook runs.
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def call(self, hook: str, function: Callable[..., None], *arguments: Any) -> None:
        """Call *function*, which may raise anything.

        Raises:
            AbandonedError: The instance was given up before or in the meantime.
        """
        with self._lock:
            if self.abandoned:
                raise AbandonedError
            self._since = time.monotonic()
            self.hook = hook
        try:
            function(*arguments)
        finally:
            with self._lock:
                self.hook = ""
                if self.abandoned:
                    # Instead of what the hook raised, if it did.
                    raise AbandonedError

    def abandon_if_stuck(self, longest_seconds: float) -> str:
        """Give the instance up if a hook runs for longer.

        Returns:
            The hook's name; empty if the instance was not given up.
        """
        with self._lock:
            if self.abandoned or not self.hook:
                return ""
            if time.monotonic() - self._since <= longest_seconds:
                return ""
            self.abandoned = True
            return self.hook
