"""The lane: a thread that hands batches to one outlet until it ends, or is given up."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define, field

from ..errors import Reject, RetryLater, SourceUnavailableError
from ..events import HypervisorEvent
from . import accounts
from .batches import Batch
from .hook_calls import AbandonedError, HookCalls
from .isolation import MAX_REFUSED_IN_A_ROW, Outcome
from .outlet import Outlet
from .state import Flush, WorkerState

Item = TypeVar("Item")

_CATCH_UP_SECONDS = 1.0


def in_daemon_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Run *target* in a daemon thread; a worker that nobody stops never holds up the exit.

    Raises:
        RuntimeError: The system refuses a new thread.
    """
    thread = threading.Thread(target=target, name=f"hvobs-{name}", daemon=True)
    thread.start()
    return thread


def _said(error: BaseException | None) -> str:
    """Give what was raised in one line: a plugin's word may hold more."""
    if error is None:
        return "refused"
    if isinstance(error, RetryLater | Reject):
        return str(error) or type(error).__name__
    return named(error)


def named(error: BaseException) -> str:
    """Give an exception's type and, where there is one, its text."""
    text = f"{error}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _TurnedOffError(BaseException):
    """The plugin has raised what ends a thread: its own must end, and nothing else."""


@define(eq=False)
class Lane:
    """A thread, and the outlet that it alone calls.

    Attributes:
        state: What the worker knows.
        outlet: Where the batches go.
        fresh: Whether the outlet has to be started by the lane itself.
        calls: The calls to the outlet.
        thread: None before it is started.
        unsettled: Events of the batch that is being offered.
    """

    state: WorkerState
    outlet: Outlet
    fresh: bool = False
    calls: HookCalls = field(factory=HookCalls, init=False)
    thread: threading.Thread | None = field(default=None, init=False)
    unsettled: int = field(default=0, init=False)
    # A batch is left for the next process: nothing behind it may be delivered now.
    _leaves: bool = field(default=False, init=False)
    # Who delivers: the thread, or who lets metrics catch up.
    _delivering: threading.Lock = field(factory=threading.Lock, init=False)

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        self.thread = in_daemon_thread(self.state.name, self._run)

    def start_ending(self) -> None:
        """Start a thread for the end alone: nothing was ever emitted. The hook may hang."""
        self.thread = in_daemon_thread(self.state.name, self._run_end)

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
                more = self._deliver_batch()
            except BaseException:
                account.reject(self.unsettled)
                self.unsettled = 0
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
            self._turn_off(named(error))
        finally:
            own_threads.discard(ident)

    def _loop(self) -> None:
        state = self.state
        if self.fresh:
            self._start_outlet()
        while not state.stopping.is_set():
            state.take_requests()
            self._deliver_pending()
            while state.taken and self._answer(state.taken[0]):
                del state.taken[0]
        self._end()

    def _start_outlet(self) -> None:
        try:
            self.calls.call("start", self.state.terms.start, self.outlet)
        except AbandonedError:
            raise
        except BaseException as error:  # a plugin's: it says that it cannot run
            self._turn_off(named(error))
            raise _TurnedOffError from error

    def _deliver_pending(self) -> None:
        with self._delivering:
            while self._deliver_batch() and time.monotonic() < self.state.deadline:
                pass
            if time.monotonic() >= self.state.next_push:
                self._push_metrics()

    def _answer(self, request: Flush) -> bool:
        """Deliver what was asked for; False while the source cannot be read."""
        state = self.state
        with self._delivering:
            while state.account.position < request.target and self._deliver_batch():
                pass
            if state.account.position < request.target and state.wait.waiting:
                return False
            self._push_metrics()
            flushed = self._call("flush", self.outlet.flush)
        lost = state.account.lost
        request.complete = (
            flushed
            and state.account.position >= request.target
            and state.unpushed == 0
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
            if state.unpushed:
                state.account.drop(state.unpushed, accounts.STOPPED)
                state.unpushed = 0
            if not self._leaves:
                state.account.commit(state.to_save, last=True)
            state.settle_waiting(left=self._leaves)
            state.account.close(accounts.STOPPED)
            self._call("stop", self.outlet.stop)
        state.refuse_requests()

    def _deliver_batch(self) -> bool:
        """Deliver one batch; tell whether there was any."""
        state, terms = self.state, self.state.terms
        if self._leaves or (state.wait.waiting and not state.stopping.is_set()):
            return False
        try:
            if not state.restored:
                state.restore()
            if state.sampler is not None:
                state.sampler.leave_out_the_quiet()
                state.count_left_out()
            events = state.account.read(terms.max_batch_events, terms.max_batch_bytes).events
        except SourceUnavailableError as error:
            state.wait.fail()
            state.limited_log.warning(
                "source", "plugin %s waits, because its source cannot be read: %s",
                state.name, error,
            )  # fmt: skip
            return False
        state.wait.succeed()
        if not events:
            return False
        if terms.wanted is not None:
            chosen = [event for event in events if terms.wanted(event.event_type.value)]
            if len(chosen) < len(events):
                state.account.drop(len(events) - len(chosen), accounts.FILTERED)
            events = chosen
        if events:
            self.unsettled = len(events)
            batch = self._batch_of(events)
            self.unsettled = batch.size
            whole = self._offer(batch)
            self.unsettled = 0
            if not whole and state.account.defers:
                self._leaves = True
                return False
        state.account.commit(state.to_save)
        return True

    def _batch_of(self, events: Sequence[HypervisorEvent]) -> Batch:
        terms, assembler, sampler = self.state.terms, self.state.assembler, self.state.sampler
        admitted = [terms.admit(event) for event in events]
        batch = Batch(admitted, [terms.disclose(event) for event in admitted])
        if assembler is not None:
            for place, event in enumerate(admitted):
                try:
                    if sampler is None:
                        batch.spans += [(place, span) for span in assembler.feed(event)]
                        continue
                    ending, chosen = sampler.feed(event)
                    if ending is not None:
                        batch.endings[ending] = place
                    batch.add_held(chosen, place)
                except Exception as error:  # noqa: BLE001 - one odd event costs itself alone
                    batch.refused[place] = error
        return batch

    def _offer(self, batch: Batch) -> bool:
        """Hand a batch over until it is settled one way or another; tell whether it is."""
        takes_events, takes_spans = self.outlet.takes_events, self.outlet.takes_spans
        if takes_events:
            self._offer_all(
                lambda: batch.offer_events(
                    lambda events: self._send("export_events", self.outlet.export_events, events),
                    self.state.breaker,
                    self.state.event_size,
                )
            )
        if takes_spans and not batch.unsettled(events=takes_events, spans=False):
            self._offer_all(
                lambda: batch.offer_spans(
                    lambda spans: self._send("export_spans", self.outlet.export_spans, spans),
                    self.state.breaker,
                    self.state.span_size,
                )
            )
        unsettled = batch.unsettled(events=takes_events, spans=takes_spans)
        self._settle(batch, unsettled)
        return not unsettled

    def _offer_all(self, offer: Callable[[], Outcome | None]) -> None:
        """Offer until nothing is left, or a stop ends the waiting."""
        state = self.state
        while (outcome := offer()) is not None:
            if outcome.accepted:
                state.breaker.succeed()
            error = outcome.failure
            if error is None and outcome.accepted:
                continue
            after = error.after if isinstance(error, RetryLater) else None
            seconds = state.breaker.fail(after)
            if error is None and not state.breaker.tripped:
                continue  # refused to the last, and told so below
            self._tell_failure(error)
            if state.stopping.is_set():
                return
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        """Wait for the next try; a stop ends the waiting, and a last try follows."""
        self.state.breaker.waiting = True
        self.state.stopping.wait(seconds)
        self.state.breaker.waiting = False

    def _tell_failure(self, error: Exception | None) -> None:
        state = self.state
        if state.breaker.tripped:
            state.limited_log.warning(
                "breaker",
                "plugin %s: nothing was accepted %d times in a row; now one event at a time"
                " tries whether the backend is back: %s",
                state.name,
                state.breaker.failures,
                _said(error),
            )
        elif isinstance(error, RetryLater):
            state.limited_log.warning("retry", "plugin %s asks to retry: %s", state.name, error)
        else:
            state.limited_log.warning(
                "refusals",
                "plugin %s refused events alone %d times in a row, so the others wait: %s",
                state.name,
                MAX_REFUSED_IN_A_ROW,
                _said(error),
            )

    def _settle(self, batch: Batch, unsettled: set[int]) -> None:
        state = self.state
        if batch.refused:
            state.account.reject(len(batch.refused))
            for place, error in batch.refused.items():
                if state.terms.dead_letters is not None:
                    reason = f"{type(error).__name__}: {error}"
                    state.terms.dead_letters.write(batch.events[place], reason)
            error = next(iter(batch.refused.values()))
            state.limited_log.warning(
                "reject",
                "plugin %s refused %d events: %s",
                state.name,
                len(batch.refused),
                error,
                error=None if isinstance(error, Reject) else error,
            )
        if unsettled:
            state.account.leave(len(unsettled))
        accepted, left_out = batch.settle(unsettled)
        state.account.drop(left_out, accounts.SAMPLED)
        state.count_left_out(but=batch.endings)
        if self.outlet.takes_metrics:
            state.unpushed += accepted
        else:
            state.account.deliver(accepted)

    def _send(
        self, hook: str, export: Callable[[Sequence[Item]], None], items: Sequence[Item]
    ) -> None:
        stats = self.state.stats
        start = time.monotonic()
        try:
            self._call_hook(hook, export, items)
        except RetryLater:
            stats.retried += 1
            raise
        except Exception:
            stats.refused += 1
            raise
        else:
            stats.accepted += 1
        finally:
            stats.took(time.monotonic() - start)

    def _push_metrics(self) -> None:
        """Push metrics if events wait for it. What fails is tried again with the next push."""
        state, terms = self.state, self.state.terms
        if not (self.outlet.takes_metrics and terms.metrics is not None and state.unpushed):
            return
        state.next_push = time.monotonic() + terms.metrics_interval_seconds
        families = terms.metrics.collect_at(state.account.position, _CATCH_UP_SECONDS)
        if families is None:
            return
        if self._call("export_metrics", self.outlet.export_metrics, families):
            state.account.deliver(state.unpushed)
            state.unpushed = 0

    def _call(self, hook: str, function: Callable[..., None], *arguments: Any) -> bool:
        try:
            self._call_hook(hook, function, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            self._tell(hook, error)
            return False
        return True

    def _tell(self, hook: str, error: Exception) -> None:
        """Tell what a hook other than those that export events or spans has raised."""
        log, name = self.state.limited_log, self.state.name
        if isinstance(error, RetryLater):
            log.warning(hook, "plugin %s: %s asks to retry: %s", name, hook, error)
        elif isinstance(error, Reject):
            log.warning(hook, "plugin %s: %s was refused: %s", name, hook, error)
        else:
            log.warning(hook, "plugin %s: %s raised", name, hook, error=error)

    def _call_hook(self, hook: str, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self.calls.call(hook, function, *arguments)
        except (Exception, AbandonedError):
            raise
        except BaseException as error:  # SystemExit and the like would end the thread in silence
            if threading.current_thread() is not self.thread:
                raise  # the user's, who lets metrics catch up: such as Ctrl-C
            self._turn_off(f"{hook} raised {type(error).__name__}")
            raise _TurnedOffError from error

    def _turn_off(self, reason: str) -> None:
        state = self.state
        state.account.reject(self.unsettled)
        state.account.drop(state.unpushed, accounts.DOWN)
        self.unsettled = state.unpushed = 0
        state.turn_off(reason)
