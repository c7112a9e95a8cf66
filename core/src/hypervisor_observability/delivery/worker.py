"""The worker: delivers what a stream has to one outlet, and keeps account, whatever happens.

The work is done by a *lane*, a thread with the outlet that it calls. A lane that hangs in a
hook is given up, and another takes over.
"""

import threading
import time

from ..errors import RetryLater, StreamUnavailableError
from ..text.limited_log import LimitedLog
from .accounts import Account
from .counts import DOWN, IN_DOUBT, STOPPED
from .hook_calls import HangWatch
from .lane import Lane
from .outlet import Outlet, Terms
from .recovery import Recovery
from .requests import Flush
from .state import WorkerState

_START_AGAIN_SECONDS = 1.0


class Worker:
    """Deliver to one outlet, in a daemon thread that starts when it is first needed.

    Args:
        name: Of the plugin; the thread is named after it.
        outlet: Where the batches go.
        account: Its position and counts.
        terms: How events come to it.

    Attributes:
        state: What it knows: others read it.
    """

    def __init__(
        self, name: str, outlet: Outlet, account: Account, terms: Terms | None = None
    ) -> None:
        self.name = name
        self._terms = Terms() if terms is None else terms
        self._log = LimitedLog(__name__)
        self.account = account
        self._begin(outlet, fresh=False)

    def _begin(self, outlet: Outlet, *, fresh: bool) -> None:
        self.state = WorkerState.of(self.name, self.account, self._terms, self._log, outlet)
        self._lane = Lane(self.state, outlet, fresh)
        # Re-entrant: a signal handler may emit while its own thread starts the worker.
        self._start_lock = threading.RLock()
        self._no_start_before = 0.0
        self._given_up = False
        self._watch = HangWatch()
        self._recovery = Recovery()

    @property
    def outlet(self) -> Outlet:
        """Where batches go at present."""
        return self._lane.outlet

    @property
    def down(self) -> str | None:
        """Why the plugin does not run at present; None if it does."""
        return self.state.down

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._lane.thread.started and not self._lane.thread.join(0)

    def start_later(self, error: RetryLater) -> None:
        """Have the outlet started by the worker's thread: *error* asks to try again later."""
        self.state.note_late_start(error)
        self._lane.fresh = True

    def begin(self) -> None:
        """Begin where the account's cursor says, before the thread is started."""
        self.account.begin()
        try:
            self.state.take_parts()
        except StreamUnavailableError as error:  # before it delivers anything it tries again
            self._log.warning("restore", "plugin %s waits for its open spans: %s", self.name, error)

    def ensure_running(self) -> bool:
        """Start the thread unless it runs, or the worker was stopped.

        Returns:
            False if the system refuses a thread: to be asked again.
        """
        with self._start_lock:
            if self._lane.thread.started or self.state.stopping.is_set():
                return True
            if time.monotonic() < self._no_start_before:
                return False
            try:
                self._lane.start()
            except RuntimeError as error:
                self._no_start_before = time.monotonic() + _START_AGAIN_SECONDS
                self._log.warning("start", "plugin %s waits for a thread: %s", self.name, error)
                return False
        return True

    def note_end(self, end: int) -> None:
        """Wake the thread if a whole batch waits. Called by emitting threads."""
        requests = self.state.requests
        if not requests.waking and end - self.account.position >= self._terms.max_batch_events:
            requests.waking = True
            requests.wake()

    def begin_flush(self, target: int) -> Flush:
        """Ask to deliver everything before *target*; ``end_flush`` waits for it."""
        request = Flush(target)
        if target == 0 and not self._lane.thread.started:
            request.answer(complete=True)
        elif self.ensure_running():
            self.state.requests.make(request)
        if self.state.off or self._given_up:
            request.done.set()
        return request

    def end_flush(self, request: Flush, timeout: float) -> bool:
        """Wait at most *timeout* seconds; tell whether everything was delivered."""
        return request.done.wait(max(0.0, timeout)) and request.complete

    def begin_stop(self, deadline: float) -> None:
        """Ask to deliver what waits until *deadline* (monotonic seconds), then to stop."""
        state = self.state
        state.deadline = deadline
        with self._start_lock:
            state.stopping.set()
            if self._given_up:
                self._end_as(DOWN)
            elif not self._lane.thread.started:
                try:
                    if not self._is_unused:
                        self._lane.start(to_end=True)
                except RuntimeError as error:
                    self._log.warning("stop", "plugin %s is not stopped: %s", self.name, error)
        state.requests.wake()

    def end_stop(self) -> bool:
        """Wait until the deadline of ``begin_stop``; tell whether the worker has ended.

        What a hook has that hangs then counts as dropped, in doubt; it is not called again.
        """
        lane, thread = self._lane, self._lane.thread
        if not thread.started:
            return lane.fresh or self._is_unused
        if thread.is_current:
            return False
        if not self._given_up and not thread.join(self.state.deadline - time.monotonic()):
            self._end_as(IN_DOUBT if lane.calls.abandon() else STOPPED)
            self._terms.given_up(lane.outlet, True)
        return thread.join(0)

    @property
    def _is_unused(self) -> bool:
        """Whether nothing has to be ended: the outlet never began, or has nothing to end."""
        if self._lane.fresh:
            return self.state.down is None
        return not self._terms.ends and self.account.position >= self.account.end

    def _end_as(self, reason: str) -> None:
        self.account.close(reason if reason == DOWN else STOPPED)
        self.account.settle_all(reason)
        self.state.requests.refuse()

    def catch_up(self, target: int, timeout: float) -> bool:
        """Deliver events before *target* in the calling thread, for *timeout* seconds.

        Returns:
            Whether all of them were settled.
        """
        return self._lane.catch_up(target, timeout)

    def replace_if_stuck(self, now: float | None = None) -> bool:
        """Give up an outlet of which a hook has run for too long, and go on with a fresh one.

        What the hook had is counted as dropped, in doubt. The first time a fresh outlet takes
        over at once. After that the plugin is down for a while: see ``Recovery``. What comes
        meanwhile counts as dropped; where the stream outlives the process, it waits. To be
        called again and again.

        Args:
            now: The time on the clock of whoever calls, in seconds; None: the monotonic one.

        Returns:
            Whether there is a new lane.
        """
        longest = self._terms.hook_timeout_seconds
        state, lane = self.state, self._lane
        if longest is None or state.off or state.stopping.is_set():
            return False
        now = time.monotonic() if now is None else now
        if self._given_up:
            return self._recovery.is_due(now) and self._try_again(now)
        if lane.could_not_start:
            self._given_up = True
            self._pause(self._recovery.note(now, None))
            return False
        hook = self._watch.abandon_if_stuck(lane.calls, now, longest)
        if not hook:
            return False
        self._given_up = True
        self.account.ledger.settle_offered(IN_DOUBT)
        pause = self._recovery.note(now, lane.thread)
        times = self._recovery.times
        why = f"{hook} has not returned within {longest:g} s"
        state.down = f"{why} (time {times})" if times > 1 else why
        at_once = self._terms.renewed is not None and not pause and self._recovery.is_due(now)
        replaced = at_once and self._try_again(now)
        if not replaced:
            self._pause(pause)
        # Only now: the call may end by that, and with it begins the next try.
        self._terms.given_up(lane.outlet, self._terms.renewed is not None)
        return replaced

    def _pause(self, seconds: float) -> None:
        self.account.pause(DOWN)
        self.state.requests.refuse()
        again = f"in {seconds:g} s" if self._terms.renewed else "when the call has returned"
        self._log.warning(
            "stuck", "plugin %s: %s: it is tried again %s", self.name, self.state.down, again
        )

    def _try_again(self, now: float) -> bool:
        terms, state, outlet = self._terms, self.state, self._lane.outlet
        if terms.renewed is None:
            if self.running:
                return False  # the same outlet, once the call that hung has returned
        else:
            try:
                outlet = terms.renewed()
            except Exception as error:  # noqa: BLE001 - its __init__ is its author's
                self._recovery.note(now, None)
                state.down = f"{state.down}, and no fresh one can be had: {error}"
                return False
        lane = Lane(state, outlet, fresh=terms.renewed is not None, probing=True)
        with self._start_lock:
            if state.stopping.is_set():
                return False
            self.account.resume()
            why = state.down  # the new lane is up, and takes it back
            try:
                lane.start()
            except RuntimeError as error:
                self._log.warning("start", "plugin %s waits for a thread: %s", self.name, error)
                return False
            self._lane, self._given_up = lane, False
        self._log.warning("stuck", "plugin %s: %s: it is tried again", self.name, why)
        return True

    def begin_anew_after_fork(self) -> None:
        """Forget all that the parent's process has: its threads, its locks, what it delivers.

        The outlet is made and started anew, where that can be done, when the child first emits:
        it would share sockets with the parent.
        """
        self.account.begin_anew()
        outlet, fresh = self._lane.outlet, False
        if self._terms.renewed is not None:
            try:
                outlet, fresh = self._terms.renewed(), True
            except Exception as error:  # noqa: BLE001 - its __init__ is its author's
                self._begin(outlet, fresh=False)
                self.state.turn_off(f"not made again after a fork: {error}")
                return
        self._begin(outlet, fresh=fresh)
