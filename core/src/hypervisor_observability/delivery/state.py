"""What a worker knows, whichever lane works for it."""

import contextlib
import queue
import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from ..errors import RetryLater
from ..events.event import HypervisorEvent
from ..metrics.families import HistogramValue
from ..spans.assembly import SpanAssembler
from ..spans.sampler import SpanSampler
from ..text.error_text import message_of
from ..text.limited_log import LimitedLog
from .accounts import Account
from .breaker import Breaker
from .counts import DOWN, SAMPLED, STOPPED
from .ledger import Place
from .offering import OfferSize
from .outlet import Outlet, Terms
from .stream_wait import StreamWait

_SAMPLING = "sampling"

SECONDS_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Upper bounds of the buckets for the time that an export takes."""


@define(eq=False)
class Flush:
    """A request: deliver everything before *target*."""

    target: int
    done: threading.Event = field(factory=threading.Event)
    complete: bool = False


@define(eq=False)
class ExportStats:
    """How the calls of export hooks went.

    Attributes:
        accepted: Calls that returned.
        retried: Calls that asked to be made again.
        refused: Calls that raised anything else.
    """

    accepted: int = 0
    retried: int = 0
    refused: int = 0
    _buckets: list[int] = field(factory=lambda: [0] * (len(SECONDS_BOUNDS) + 1), init=False)
    _sum_seconds: float = field(default=0.0, init=False)

    def took(self, seconds: float) -> None:
        """Note how long a call took."""
        self._buckets[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self._sum_seconds += seconds

    @property
    def seconds(self) -> HistogramValue:
        """How long the calls took."""
        return HistogramValue(tuple(self._buckets), self._sum_seconds)


@define(eq=False)
class WorkerState:
    """The state of a worker. Only its present lane changes it, but for requests and stopping.

    Attributes:
        name: Of the plugin.
        account: Its position and counts.
        terms: How events come to it.
        limited_log: For what operators should know.
        restored: Whether what an earlier process has left open was taken up.
        assembler: Makes spans of events; None if nobody wants any.
        sampler: Chooses from them; None if all are wanted.
        breaker: Whether batches are offered.
        event_size: How many events the backend takes at once.
        span_size: How many spans.
        stats: How export calls went.
        next_push: When metrics are to be pushed again, in monotonic seconds.
        no_push_before: Until when the backend has itself waited for.
        requests: Flushes that are asked for; None wakes the lane.
        taken: Those of them that the lane is to answer next.
        waking: Whether the lane was woken already.
        stopping: Set when everything is to end.
        deadline: Until when, in monotonic seconds.
        down: Why the plugin does not run at present; None while it does.
        off: Whether it was turned off for good.
    """

    name: str
    account: Account
    terms: Terms
    limited_log: LimitedLog
    restored: bool = True
    assembler: SpanAssembler | None = None
    sampler: SpanSampler | None = None
    breaker: Breaker = field(factory=Breaker)
    event_size: OfferSize = field(factory=OfferSize)
    span_size: OfferSize = field(factory=OfferSize)
    wait: StreamWait = field(factory=StreamWait)
    stats: ExportStats = field(factory=ExportStats)
    next_push: float = 0.0
    no_push_before: float = 0.0
    lost_at_last_flush: int = 0
    # A SimpleQueue may be put to from a signal handler or a finaliser; a Condition not.
    requests: "queue.SimpleQueue[Flush | None]" = field(factory=queue.SimpleQueue)
    taken: list[Flush] = field(factory=list)
    waking: bool = False
    stopping: threading.Event = field(factory=threading.Event)
    deadline: float = float("inf")
    down: str | None = None
    off: bool = False

    @classmethod
    def of(
        cls, name: str, account: Account, terms: Terms, limited_log: LimitedLog, outlet: Outlet
    ) -> "WorkerState":
        """Begin, with *outlet* to deliver to."""
        pending = terms.pending_sessions
        assembler = SpanAssembler(pending=pending) if outlet.takes_spans else None
        state = cls(name, account, terms, limited_log)
        state._assemble(assembler)
        return state

    def _assemble(self, assembler: SpanAssembler | None) -> None:
        sampling = self.terms.sampling
        self.assembler, self.sampler = assembler, None
        if assembler is not None and sampling is not None:
            self.sampler = SpanSampler(sampling, assembler)

    def restore(self) -> None:
        """Go on with the spans that an earlier process has left open.

        Raises:
            StreamUnavailableError: They cannot be read at present: to be called again.
        """
        if self.assembler is None:
            return
        self.restored = False
        saved, pending = self.account.state, self.terms.pending_sessions
        self._assemble(SpanAssembler(pending=pending))
        if saved is not None:
            try:
                self._assemble(SpanAssembler.from_state(saved, pending=pending))
                if self.sampler is not None and _SAMPLING in saved:
                    self.sampler.restore(saved[_SAMPLING])
            except Exception as error:  # noqa: BLE001 - what an old file holds is no reason to end
                self.limited_log.warning(
                    "restore", "plugin %s: open spans are lost", self.name, error=error
                )
        for events in self.account.since_state():
            for event in events:
                self._feed_again(event)
        if self.sampler is not None:  # all of that was counted
            self.sampler.settle_waiting()
            self.sampler.left_out.clear()
        self.restored = True

    def _feed_again(self, event: HypervisorEvent) -> None:
        """Feed what was delivered since the spans were saved: whatever it ends was handed over."""
        wanted = self.terms.wanted
        if wanted is not None and not wanted(event.event_type.value):
            return
        feeder = self.sampler or self.assembler
        with contextlib.suppress(Exception):  # an odd event was refused the first time, too
            if feeder is not None:
                feeder.feed(self.terms.admit(event))

    def to_save(self) -> Mapping[str, Any] | None:
        """Give what is to be saved along with the position."""
        if self.terms.state is not None:
            return self.terms.state()
        if self.assembler is None:
            return None
        sampling = {} if self.sampler is None else {_SAMPLING: self.sampler.state()}
        return {**self.assembler.state(), **sampling}

    def count_left_out(self) -> None:
        """Count the events whose spans were left out."""
        if self.sampler is not None and self.sampler.left_out:
            left_out = sum(ending.left_out for ending in self.sampler.left_out)
            self.sampler.left_out.clear()
            self.account.drop_waiting(Place.HELD, SAMPLED, left_out)

    def settle_waiting(self, *, left: bool) -> None:
        """Count the events whose spans are held when nothing more comes.

        Args:
            left: Whether the next process reads them again.
        """
        if self.sampler is None:
            return
        held = Place.HELD
        if left:
            reason = self.account.left_as(STOPPED)
            self.account.drop_waiting(held, reason, self.sampler.settle_waiting())
        elif self.account.defers:
            # The spans are saved along with the position.
            self.account.deliver_waiting(held, self.sampler.settle_waiting())
        else:
            self.sampler.leave_out_all()
        self.count_left_out()

    def note_late_start(self, error: RetryLater) -> float:
        """Note that a start asks to be tried again; give the seconds to wait before."""
        self.down = f"start asks to retry: {message_of(error)}"
        self.limited_log.warning("start", "plugin %s: %s", self.name, self.down)
        return self.breaker.fail(error.after)

    def wait_before_retry(self, seconds: float) -> None:
        """Wait for the next try; a stop ends the waiting, and a last try follows."""
        self.breaker.waiting = True
        self.stopping.wait(seconds)
        self.breaker.waiting = False

    def take_requests(self) -> None:
        """Wait for the interval or a request, and take the requests that are there."""
        try:
            request = self.requests.get(timeout=self.terms.interval_seconds)
            while True:
                if request is not None:
                    self.taken.append(request)
                request = self.requests.get_nowait()
        except queue.Empty:
            pass
        self.waking = False

    def refuse_requests(self) -> None:
        """Answer those who wait for a flush that there will be none."""
        for taken in self.taken:
            taken.done.set()
        self.taken.clear()
        while True:
            try:
                request = self.requests.get_nowait()
            except queue.Empty:
                return
            if request is not None:
                request.done.set()

    def turn_off(self, reason: str) -> None:
        """Deliver nothing more, and count what comes as dropped."""
        self.down, self.off = reason, True
        if self.sampler is not None:
            self.account.drop_waiting(Place.HELD, DOWN, self.sampler.settle_waiting())
        self.account.drop_waiting(Place.UNPUSHED, DOWN)
        self.account.close(DOWN)
        self.limited_log.warning("off", "plugin %s is turned off: %s", self.name, reason)
        self.refuse_requests()
