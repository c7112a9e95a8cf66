"""Hook calls of one outlet: one at a time, it is known which one runs, and whatever they raise is
sorted out.
"""

import threading
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from attrs import define, field

from ..errors import Reject, RetryLater
from ..threads.one_thread import OneThread
from .counts import DOWN
from .ledger import Fate, Place
from .outlet import HookShapeError, Outlet
from .state import WorkerState

RETRY = "retry"
"""The kind of message about a backend that is away, whichever hook found out."""


class AbandonedError(BaseException):
    """The outlet was given up while this thread was in one of its hooks.

    Not an ``Exception``, so that nothing on the way mistakes it for one of the plugin's.
    """


class TurnedOffError(BaseException):
    """The plugin cannot go on: its own thread must end, and nothing else."""


@define(eq=False)
class HookCalls:
    """The calls to one outlet.

    Attributes:
        state: What the worker knows.
        outlet: What is called.
        thread: The one that calls it, but for who lets metrics catch up.
        hook: Name of the hook that runs; empty if none does.
        number: Of the last call, counted from 1.
        abandoned: Whether the outlet was given up: it is not called through here again.
    """

    state: WorkerState
    outlet: Outlet
    thread: OneThread
    hook: str = field(default="", init=False)
    number: int = field(default=0, init=False)
    abandoned: bool = field(default=False, init=False)
    # Held for moments only, never while a hook runs.
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def run(self, hook: str, function: Callable[..., None], *arguments: Any) -> None:
        """Call *function*, which may raise anything.

        Raises:
            AbandonedError: The outlet was given up before or in the meantime.
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

    def call(self, hook: str, function: Callable[..., None], *arguments: Any) -> None:
        """Call *function*; what it raises is an answer.

        Raises:
            AbandonedError: The outlet was given up before or in the meantime.
            TurnedOffError: The plugin was turned off for what the call raised.
            Exception: Whatever else it raised.
        """
        try:
            self.run(hook, function, *arguments)
        except HookShapeError as error:
            self.turn_off(f"{error}", offered_as=DOWN)
            raise TurnedOffError from error
        except (Exception, AbandonedError):
            raise
        except BaseException as error:  # SystemExit and the like would end the thread in silence
            if not self.thread.is_current:
                raise  # the user's, who lets metrics catch up: such as Ctrl-C
            self.turn_off(f"{hook} raised {type(error).__name__}", error=error)
            raise TurnedOffError from error

    def attempt(
        self, hook: str, function: Callable[..., None], *arguments: Any
    ) -> Exception | None:
        """Call a hook other than those that export events or spans.

        Returns:
            What it raised, which was reported; None if it returned.

        Raises:
            AbandonedError: As ``call``.
            TurnedOffError: As ``call``.
        """
        told, name = self.state.limited_log, self.state.name
        try:
            self.call(hook, function, *arguments)
        except RetryLater as error:
            # One kind for all hooks: a backend that is away is one fault, told once.
            told.warning(RETRY, "plugin %s: %s asks to retry: %s", name, hook, error)
            return error
        except Reject as error:
            told.warning(hook, "plugin %s: %s was refused: %s", name, hook, error)
            return error
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            told.warning(hook, "plugin %s: %s raised", name, hook, error=error)
            return error
        return None

    def turn_off(
        self,
        reason: str,
        *,
        offered_as: Fate = Place.REJECTED,
        error: BaseException | None = None,
    ) -> None:
        """Deliver nothing more through here, nor elsewhere for this plugin.

        Args:
            reason: Why.
            offered_as: What the events count as that are offered.
            error: Whose traceback is logged too.
        """
        self.state.account.ledger.settle_offered(offered_as)
        self.state.turn_off(reason, error)
        self.state.terms.given_up(self.outlet, True)

    def abandon(self, number: int | None = None) -> str:
        """Give the outlet up.

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
        """Give the outlet up if one call was seen to run for longer than *longest_seconds*.

        Args:
            calls: Those to the outlet.
            now: The time on the clock of whoever looks.
            longest_seconds: What a call may take.

        Returns:
            The hook's name; empty if the outlet was not given up.
        """
        number = calls.number
        if not calls.hook or calls is not self._calls or number != self._number:
            self._calls, self._number, self._since = calls, number, now
            return ""
        if now - self._since <= longest_seconds:
            return ""
        return calls.abandon(number)
