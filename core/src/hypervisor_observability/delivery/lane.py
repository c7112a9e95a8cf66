"""The lane: a thread that hands batches to one outlet until it ends, or is given up."""

import threading
import time
from collections.abc import Callable
from functools import partial

from attrs import define, field

from ..errors import RetryLater
from ..text.error_text import line_of, mistake_in
from ..threads.one_thread import OneThread
from .breaker import seconds_asked_for
from .counts import STOPPED
from .deliverer import Deliverer
from .hook_calls import AbandonedError, HookCalls, TurnedOffError
from .ledger import Place
from .outlet import Outlet
from .requests import Flush
from .state import WorkerState

_CATCH_UP_SECONDS = 1.0


@define(eq=False)
class Lane:
    """A thread, and the outlet that it alone calls.

    Attributes:
        state: What the worker knows.
        outlet: Where the batches go.
        fresh: Whether the outlet has to be started by the lane itself.
        probing: Whether it follows one that was given up: if the outlet cannot start, another
            one is tried later.
        thread: The thread.
        calls: The calls to the outlet.
        could_not_start: Whether it has ended for that.
    """

    state: WorkerState
    outlet: Outlet
    fresh: bool = False
    probing: bool = False
    thread: OneThread = field(init=False)
    calls: HookCalls = field(init=False)
    could_not_start: bool = field(default=False, init=False)
    _deliverer: Deliverer = field(init=False)
    # Who delivers: the thread, or who lets metrics catch up.
    _delivering: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.thread = OneThread(self.state.name)
        self.calls = HookCalls(self.state, self.outlet, self.thread)
        self._deliverer = Deliverer(self.state, self.calls)

    def start(self, *, to_end: bool = False) -> None:
        """Start the thread.

        Args:
            to_end: Whether it is for the end alone: nothing was ever emitted. The hook may hang.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        self.thread.start(partial(self._run, self._end if to_end else self._loop))

    def catch_up(self, target: int, timeout: float) -> bool:
        """Deliver events before *target* in the calling thread, for *timeout* seconds.

        Returns:
            Whether all of them were settled.
        """
        deadline = time.monotonic() + timeout
        more = True
        while more and self._delivering.acquire(timeout=max(0.0, deadline - time.monotonic())):
            try:
                # Only here: what the other thread has read may still be in its hands.
                if self.state.account.position >= target:
                    return self._deliverer.take_parts()
                more = self._deliverer.deliver_batch()
            finally:
                self._delivering.release()
        return False

    # In the lane's own thread

    def _run(self, work: Callable[[], None]) -> None:
        own_threads, ident = self.state.terms.own_threads, threading.get_ident()
        own_threads.add(ident)
        try:
            work()
        except (AbandonedError, TurnedOffError):
            pass
        except BaseException as error:  # noqa: BLE001 - a mistake of our own must not be silent
            self.calls.turn_off(line_of(error), error=error)
        finally:
            own_threads.discard(ident)

    def _loop(self) -> None:
        state = self.state
        if self.fresh:
            self._start_outlet()
        state.down = None
        while not state.stopping.is_set():
            state.requests.take(state.terms.interval_seconds)
            self._deliver_pending()
            state.requests.answer(self._answer)
        self._end()

    def _start_outlet(self) -> None:
        state = self.state
        while True:
            try:
                self.calls.run("start", state.terms.start, self.outlet)
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
            state.limited_log.warning(
                "start", "plugin %s is down: %s", state.name, state.down, error=mistake_in(error)
            )
            self.could_not_start = True
        else:
            self.calls.turn_off(line_of(error), error=mistake_in(error))
        raise TurnedOffError from error

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
            failure = self.calls.attempt("flush", self.outlet.flush)
        ledger = state.account.ledger
        lost_before, state.lost_at_last_flush = state.lost_at_last_flush, ledger.lost
        request.answer(
            complete=failure is None
            and state.account.position >= request.target
            and ledger.at(Place.UNPUSHED) == 0
            and state.lost_at_last_flush == lost_before
        )
        return True

    def _end(self) -> None:
        state, account = self.state, self.state.account
        self._deliver_pending()
        with self._delivering:
            self._push_metrics()
            account.ledger.move_waiting(Place.UNPUSHED, STOPPED)
            leaves = self._deliverer.leaves
            if not leaves and state.begun:  # else what was saved would be lost
                account.commit(state.to_save, last=True)
            state.spans.end(left=leaves)
            account.close(STOPPED)
            self.calls.attempt("stop", self.outlet.stop)
        state.requests.refuse()

    def _push_metrics(self) -> None:
        """Push metrics if events wait for it. What fails is tried again with the next push."""
        state, terms, account = self.state, self.state.terms, self.state.account
        now, unpushed = time.monotonic(), account.ledger.at(Place.UNPUSHED)
        if not (self.outlet.takes_metrics and terms.metrics is not None and unpushed):
            return
        if now < state.no_push_before and not state.stopping.is_set():
            return
        state.next_push = now + terms.metrics_interval_seconds
        families = terms.metrics.collect_at(account.position, _CATCH_UP_SECONDS)
        if families is None:
            return
        failure = self.calls.attempt("export_metrics", self.outlet.export_metrics, families)
        if failure is None:
            account.ledger.move_waiting(Place.UNPUSHED, Place.DELIVERED)
        elif isinstance(failure, RetryLater):
            state.no_push_before = time.monotonic() + seconds_asked_for(failure.after)
