"""The worker: reads a source, hands batches to the hooks of one plugin, keeps account."""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from attrs import define, field

from ..errors import Reject, RetryLater
from ..events import HypervisorEvent
from ..limited_log import LimitedLog
from ..metrics.families import MetricFamily
from ..spans.assembly import SpanAssembler
from ..spans.record import FinishedSpan
from . import accounts
from .accounts import Account

MAX_RETRY_SECONDS = 300.0
_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_CATCH_UP_SECONDS = 1.0


class Outlet(Protocol):
    """Where a worker's batches go. The hooks of a plugin are one, the registry another."""

    @property
    def takes_events(self) -> bool:
        """Whether it is handed events."""

    @property
    def takes_spans(self) -> bool:
        """Whether it is handed spans."""

    @property
    def takes_metrics(self) -> bool:
        """Whether metrics are pushed to it."""

    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Take a batch of events."""

    def export_spans(self, spans: Sequence[FinishedSpan]) -> None:
        """Take the spans that the batch ended."""

    def export_metrics(self, metrics: Sequence[MetricFamily]) -> None:
        """Take the state of the metrics."""

    def flush(self) -> None:
        """Send what is held back."""

    def stop(self) -> None:
        """Let go of everything."""


class Metrics(Protocol):
    """Where a worker gets the metrics that it pushes."""

    def collect_at(self, position: int, timeout: float) -> list[MetricFamily] | None:
        """Give the families with every event before *position* counted; None if counting
        them took longer than *timeout* seconds.
        """


def in_daemon_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Run *target* in a daemon thread; a worker that nobody stops never holds up the exit.

    Raises:
        RuntimeError: The system refuses a new thread.
    """
    thread = threading.Thread(target=target, name=f"hvobs-{name}", daemon=True)
    thread.start()
    return thread


@define(eq=False)
class _Flush:
    """A request: deliver everything before *target*."""

    target: int
    done: threading.Event = field(factory=threading.Event)
    complete: bool = False


class Worker:
    """Deliver to one outlet, in a daemon thread that starts when it is first needed.

    Args:
        name: Of the plugin; the thread is named after it.
        outlet: Where the batches go.
        account: Its position and counts.
        wanted: Tells whether a type of events is wanted; None: all are.
        max_batch_events: Most events handed over at once.
        interval_seconds: Longest time an event waits before it is handed over.
        metrics: Where pushed metrics come from.
        metrics_interval_seconds: Time between two pushes.
    """

    def __init__(
        self,
        name: str,
        outlet: Outlet,
        account: Account,
        *,
        wanted: Callable[[str], bool] | None = None,
        max_batch_events: int = 512,
        interval_seconds: float = 0.2,
        metrics: Metrics | None = None,
        metrics_interval_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self.account = account
        self.interval_seconds = interval_seconds
        self._outlet = outlet
        self._wanted = wanted
        self._max_batch_events = max_batch_events
        self._metrics = metrics
        self._metrics_interval_seconds = metrics_interval_seconds
        self._next_push = 0.0
        # Events whose export hooks took them, and that still have to be in a push of metrics.
        self._unpushed = 0
        self._lost_at_last_flush = 0
        self._assembler = SpanAssembler() if outlet.takes_spans else None
        self._thread: threading.Thread | None = None
        # Re-entrant: a signal handler may emit while its own thread starts the worker.
        self._start_lock = threading.RLock()
        self._starting = False
        # One hook at a time, whichever thread calls.
        self._hook_lock = threading.Lock()
        # A SimpleQueue may be put to from a signal handler or a finaliser; a Condition not.
        self._requests: queue.SimpleQueue[_Flush | None] = queue.SimpleQueue()
        self._waking = False
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._log = LimitedLog(__name__)

    @property
    def open_spans(self) -> int:
        """Spans that have begun and not ended."""
        return 0 if self._assembler is None else self._assembler.open_spans

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def ensure_running(self) -> None:
        """Start the thread unless it runs, or the worker was stopped."""
        with self._start_lock:
            if self._thread is None and not self._starting and not self._stopping.is_set():
                self._starting = True
                try:
                    self._thread = in_daemon_thread(self.name, self._run)
                finally:
                    self._starting = False

    def note_end(self, end: int) -> None:
        """Wake the thread if a whole batch waits. Called by emitting threads."""
        if not self._waking and end - self.account.position >= self._max_batch_events:
            self._waking = True
            self._requests.put(None)

    def begin_flush(self, target: int) -> "_Flush":
        """Ask to deliver everything before *target*; ``end_flush`` waits for it."""
        request = _Flush(target)
        if target == 0 and self._thread is None:
            request.complete = True
            request.done.set()
        else:
            self.ensure_running()
            self._requests.put(request)
        return request

    def end_flush(self, request: "_Flush", timeout: float) -> bool:
        """Wait at most *timeout* seconds; tell whether everything was delivered."""
        return request.done.wait(max(0.0, timeout)) and request.complete

    def begin_stop(self, deadline: float) -> None:
        """Ask to deliver what waits until *deadline* (monotonic seconds), then to stop."""
        self._deadline = deadline
        with self._start_lock:
            self._stopping.set()
            if self._thread is None:
                # Nothing was ever emitted. The hook may hang all the same.
                self._thread = in_daemon_thread(self.name, self._end)
        self._requests.put(None)

    def end_stop(self) -> bool:
        """Wait until the deadline of ``begin_stop``; tell whether the worker has ended."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return False
        thread.join(max(0.0, self._deadline - time.monotonic()))
        return not thread.is_alive()

    def catch_up(self, target: int, timeout: float) -> bool:
        """Deliver events before *target* in the calling thread, for *timeout* seconds.

        Returns:
            Whether all of them were read.
        """
        deadline = time.monotonic() + timeout
        while self.account.position < target:
            if not self._hook_lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            try:
                more = self._deliver_batch()
            finally:
                self._hook_lock.release()
            if not more or time.monotonic() > deadline:
                break
        return self.account.position >= target

    # In the worker's thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            requests = self._next_requests()
            self._deliver_pending()
            for request in requests:
                self._answer(request)
        self._end()

    def _next_requests(self) -> list[_Flush]:
        requests = []
        try:
            request = self._requests.get(timeout=self.interval_seconds)
            while True:
                if request is not None:
                    requests.append(request)
                request = self._requests.get_nowait()
        except queue.Empty:
            pass
        self._waking = False
        return requests

    def _deliver_pending(self) -> None:
        with self._hook_lock:
            while self._deliver_batch() and time.monotonic() < self._deadline:
                pass
            if time.monotonic() >= self._next_push:
                self._push_metrics()

    def _answer(self, request: _Flush) -> None:
        with self._hook_lock:
            while self.account.position < request.target and self._deliver_batch():
                pass
            self._push_metrics()
            flushed = self._call("flush", self._outlet.flush)
        lost = self.account.lost
        request.complete = (
            flushed
            and self.account.position >= request.target
            and self._unpushed == 0
            and lost == self._lost_at_last_flush
        )
        self._lost_at_last_flush = lost
        request.done.set()

    def _end(self) -> None:
        self._deliver_pending()
        with self._hook_lock:
            self._push_metrics()
            if self._unpushed:
                self.account.drop(self._unpushed, accounts.STOPPED)
                self._unpushed = 0
            self.account.close(accounts.STOPPED)
            self._call("stop", self._outlet.stop)
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            if request is not None:
                request.done.set()

    def _deliver_batch(self) -> bool:
        """Deliver one batch; tell whether there was any."""
        events = self.account.read(self._max_batch_events).events
        if not events:
            return False
        wanted = self._wanted
        if wanted is not None:
            chosen = [event for event in events if wanted(event.event_type.value)]
            if len(chosen) < len(events):
                self.account.drop(len(events) - len(chosen), accounts.FILTERED)
            events = chosen
        if events:
            self._offer(events)
        return True

    def _offer(self, events: Sequence[HypervisorEvent]) -> None:
        """Hand a batch over until it is settled one way or another."""
        spans: Sequence[FinishedSpan] | None = None
        for attempt in count():
            try:
                if spans is None:
                    spans = self._spans_of(events)
                if self._outlet.takes_events:
                    self._outlet.export_events(events)
                if spans:
                    self._outlet.export_spans(spans)
            except RetryLater as error:
                self._log.warning("retry", "plugin %s asks to retry: %s", self.name, error)
                if not self._wait_to_retry(error.after, attempt):
                    self.account.drop(len(events), accounts.STOPPED)
                    return
            except BaseException as error:  # noqa: BLE001 - even SystemExit: it is a plugin's
                self._reject(events, error)
                return
            else:
                self._settle(len(events))
                return

    def _spans_of(self, events: Sequence[HypervisorEvent]) -> list[FinishedSpan]:
        if self._assembler is None:
            return []
        return [span for event in events for span in self._assembler.feed(event)]

    def _settle(self, events: int) -> None:
        if self._outlet.takes_metrics:
            self._unpushed += events
        else:
            self.account.deliver(events)

    def _reject(self, events: Sequence[HypervisorEvent], error: BaseException) -> None:
        self.account.reject(len(events))
        self._log.warning(
            "reject",
            "plugin %s refused %d events: %s",
            self.name,
            len(events),
            error,
            error=None if isinstance(error, Reject) else error,
        )

    def _wait_to_retry(self, after: float | None, attempt: int) -> bool:
        """Wait before the same batch is offered again; tell whether it should be.

        A stop ends the wait at once; the batch is then offered one last time.
        """
        if self._stopping.is_set():
            return False
        if not isinstance(after, int | float):  # a plugin's word: it may be anything
            longest = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0 ** min(attempt, 16))
            # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
            after = longest * random.random()  # noqa: S311 - spreads load, keeps no secret
        self._stopping.wait(min(max(0.0, after), MAX_RETRY_SECONDS))
        return True

    def _push_metrics(self) -> None:
        """Push metrics if events wait for it. What fails is tried again with the next push."""
        if not (self._outlet.takes_metrics and self._metrics is not None and self._unpushed):
            return
        self._next_push = time.monotonic() + self._metrics_interval_seconds
        families = self._metrics.collect_at(self.account.position, _CATCH_UP_SECONDS)
        if families is None:
            return
        if self._call("export_metrics", self._outlet.export_metrics, families):
            self.account.deliver(self._unpushed)
            self._unpushed = 0

    def _call(self, hook: str, function: Callable[..., None], *arguments: Any) -> bool:
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001 - see _offer
            self._log.warning(hook, "plugin %s: %s raised", self.name, hook, error=error)
            return False
        return True
