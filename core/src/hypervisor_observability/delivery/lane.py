"""The lane: a thread that hands batches to one outlet until it ends, or is given up."""

import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define, field

from ..errors import Reject, RetryLater
from ..text.error_text import line_of
from ..threads.one_thread import OneThread
from .breaker import seconds_asked_for
from .counts import DOWN, IN_DOUBT, STOPPED
from .deliverer import Deliverer
from .hook_calls import AbandonedError, HookCalls
from .ledger import Place
from .outlet import HookShapeError, Outlet
from .state import Flush, WorkerState

_CATCH_UP_SECONDS = 1.0


class _TurnedOffError(BaseException):
    """The plugin cannot go on: its own thread must end, and nothing else."""


@define(eq=False)
class Lane:
    """A thread, and the outlet that it alone calls.

    Attributes:
        state: What the worker knows.
        outlet: Where the batches go.
        fresh: Whether the outlet has to be started by the lane itself.
        probing: Whether it follows one that was given up: if the outlet cannot start, another
            one is tried later.
        calls: The calls to the outlet.
        could_not_start: Whether it has ended for that.
    """

    state: WorkerState
    outlet: Outlet
    fresh: bool = False
    probing: bool = False
    calls: HookCalls = field(factory=HookCalls, init=False)
    could_not_start: bool = field(default=False, init=False)
    _deliverer: Deliverer = field(init=False)
    _thread: OneThread = field(init=False)
    # Who delivers: the thread, or who lets metrics catch up.
    _delivering: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._deliverer = Deliverer(self.state, self.outlet, self._call_hook)
        self._thread = OneThread(self.state.name)

    @property
    def thread(self) -> threading.Thread | None:
        """The thread; None before it is started."""
        return self._thread.thread

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self.thread is not None and not self.join(0)

    def join(self, timeout: float) -> bool:
        """Wait at most *timeout* seconds; tell whether its thread has ended."""
        return self._thread.join(timeout)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        self._thread.start(self._run)

    def start_ending(self) -> None:
        """Start a thread for the end alone: nothing was ever emitted. The hook may hang."""
        self._thread.start(self._run_end)

    def catch_up(self, target: int, timeout: float) -> bool:
        """Deliver events before *target* in the calling thread, for *timeout* seconds.

        Returns:
            Whether all of them were settled.
        """
        account = self.state.account
        deadline = time.monotonic() + timeout
        more = True
        while more and self._delivering.acquire(timeout=max(0.0, deadline - time.monotonic())):
            try:
                # Only here: what the other thread has read may still be in its hands.
                if account.position >= target:
                    return True
                more = self._deliverer.deliver_batch()
            except BaseException:
                account.give_up(IN_DOUBT)
                raise
            finally:
                self._delivering.release()
        return False

    # In the lane's own thread

    def _run(self) -> None:
        self._guarded(self._loop)

    def _run_end(self) -> None:
        self._guarded(self._end)

    def _guarded(self, work: Callable[[], None]) -> None:
        own_threads, ident = self.state.terms.own_threads, threading.get_ident()
        own_threads.add(ident)
        try:
            work()
        except (AbandonedError, _TurnedOffError):
            pass
        except BaseException as error:  # noqa: BLE001 - a mistake of our own must not be silent
            self._turn_off(line_of(error))
        finally:
            own_threads.discard(ident)

    def _loop(self) -> None:
        state = self.state
        if self.fresh:
            self._start_outlet()
        state.down = None
        while not state.stopping.is_set():
            state.take_requests()
            self._deliver_pending()
            while state.taken and self._answer(state.taken[0]):
                del state.taken[0]
        self._end()

    def _start_outlet(self) -> None:
        state = self.state
        while True:
            try:
                self.calls.call("start", state.terms.start, self.outlet)
            except AbandonedError:
                raise
            except RetryLater as error:
                seconds = state.note_late_start(error)
                if not state.stopping.is_set():
                    state.wait_before_retry(seconds)
                    continue
                self._give_up_start(error)
            except BaseException as error:  # noqa: BLE001 - a plugin's: it says that it cannot run
                self._give_up_start(error)
            state.breaker.succeed()
            return

    def _give_up_start(self, error: BaseException) -> None:
        state = self.state
        if self.probing and not state.stopping.is_set():
            state.down = line_of(error)
            state.limited_log.warning("start", "plugin %s is down: %s", state.name, state.down)
            self.could_not_start = True
        else:
            self._turn_off(line_of(error))
        raise _TurnedOffError from error

    def _deliver_pending(self) -> None:
        with self._delivering:
            while self._deliverer.deliver_batch() and time.monotonic() < self.state.deadline:
                pass
            if time.monotonic() >= self.state.next_push:
                self._push_metrics()

    def _answer(self, request: Flush) -> bool:
        """Deliver what was asked for; False while the stream cannot be read."""
        state = self.state
        with self._delivering:
            while state.account.position < request.target and self._deliverer.deliver_batch():
                pass
            if state.account.position < request.target and state.wait.waiting:
                return False
            self._push_metrics()
            flushed = self._call("flush", self.outlet.flush)
        lost = state.account.lost
        request.complete = (
            flushed
            and state.account.position >= request.target
            and state.account.unpushed == 0
            and lost == state.lost_at_last_flush
        )
        state.lost_at_last_flush = lost
        request.done.set()
        return True

    def _end(self) -> None:
        state = self.state
        self._deliver_pending()
        with self._delivering:
            self._push_metrics()
            state.account.drop_waiting(Place.UNPUSHED, STOPPED)
            leaves = self._deliverer.leaves
            if not leaves:
                state.account.commit(state.to_save, last=True)
            state.settle_waiting(left=leaves)
            state.account.close(STOPPED)
            self._call("stop", self.outlet.stop)
        state.refuse_requests()

    def _push_metrics(self) -> None:
        """Push metrics if events wait for it. What fails is tried again with the next push."""
        state, terms = self.state, self.state.terms
        now = time.monotonic()
        if not (self.outlet.takes_metrics and terms.metrics is not None and state.account.unpushed):
            return
        if now < state.no_push_before and not state.stopping.is_set():
            return
        state.next_push = now + terms.metrics_interval_seconds
        families = terms.metrics.collect_at(state.account.position, _CATCH_UP_SECONDS)
        if families is None:
            return
        if self._call("export_metrics", self.outlet.export_metrics, families):
            state.account.deliver_waiting(Place.UNPUSHED)

    def _call(self, hook: str, function: Callable[..., None], *arguments: Any) -> bool:
        """Call a hook other than those that export events or spans; tell whether it returned."""
        told, name = self.state.limited_log, self.state.name
        try:
            self._call_hook(hook, function, *arguments)
        except RetryLater as error:
            told.warning(hook, "plugin %s: %s asks to retry: %s", name, hook, error)
            if hook == "export_metrics":
                seconds = seconds_asked_for(error.after)
                self.state.no_push_before = time.monotonic() + seconds
            return False
        except Reject as error:
            told.warning(hook, "plugin %s: %s was refused: %s", name, hook, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            told.warning(hook, "plugin %s: %s raised", name, hook, error=error)
            return False
        return True

    def _call_hook(self, hook: str, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self.calls.call(hook, function, *arguments)
        except HookShapeError as error:
            self._turn_off(f"{error}", unsent=True)
            raise _TurnedOffError from error
        except (Exception, AbandonedError):
            raise
        except BaseException as error:  # SystemExit and the like would end the thread in silence
            if threading.current_thread() is not self.thread:
                raise  # the user's, who lets metrics catch up: such as Ctrl-C
            self._turn_off(f"{hook} raised {type(error).__name__}")
            raise _TurnedOffError from error

    def _turn_off(self, reason: str, *, unsent: bool = False) -> None:
        account = self.state.account
        if unsent:
            account.give_up(DOWN)
        else:
            account.reject()
        self.state.turn_off(reason)
        self.state.terms.given_up(self.outlet, True)
