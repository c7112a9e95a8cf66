"""Hook calls of one plugin instance: one at a time, and it is known which one runs."""

import threading
from asyncio import CancelledError
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
        number: Of the last call, counted from 1.
        abandoned: Whether the instance was given up: it is not called through here again.
    """

    hook: str = field(default="", init=False)
    number: int = field(default=0, init=False)
    abandoned: bool = field(default=False, init=False)
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
            self.number += 1
            self.hook = hook
        try:
            function(*arguments)
        except CancelledError as error:
            # It ends a task of asyncio, not a thread.
            raise RuntimeError(f"{hook} was cancelled") from error
        finally:
            with self._lock:
                self.hook = ""
                if self.abandoned:
                    # Instead of what the hook raised, if it did.
                    raise AbandonedError

    def abandon(self, number: int | None = None) -> str:
        """Give the instance up.

        Args:
            number: Only if this call still runs; None: in any case.

        Returns:
            The name of the hook that runs; empty if none does, or another one.
        """
        with self._lock:
            if number is not None and (self.abandoned or not self.hook or number != self.number):
                return ""
            self.abandoned = True
            return self.hook


@define(eq=False)
class HangWatch:
    """Tells for how long a call has run, as far as somebody was there to see it."""

    _calls: HookCalls | None = field(default=None, init=False)
    _number: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)

    def abandon_if_stuck(self, calls: HookCalls, now: float, longest_seconds: float) -> str:
        """Give the instance up if one call was seen to run for longer than *longest_seconds*.

        Args:
            calls: Those to the instance.
            now: The time on the clock of whoever looks.
            longest_seconds: What a call may take.

        Returns:
            The hook's name; empty if the instance was not given up.
        """
        number = calls.number
        if not calls.hook or calls is not self._calls or number != self._number:
            self._calls, self._number, self._since = calls, number, now
            return ""
        if now - self._since <= longest_seconds:
            return ""
        return calls.abandon(number)
