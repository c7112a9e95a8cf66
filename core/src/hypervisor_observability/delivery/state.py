"""What a worker knows, whichever lane works for it."""

import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from ..errors import RetryLater
from ..metrics.families import HistogramValue
from ..text.error_text import message_of
from ..text.limited_log import LimitedLog
from .accounts import Account
from .breaker import Breaker
from .counts import DOWN
from .ledger import Place
from .offering import OfferSize
from .outlet import Outlet, Terms
from .requests import Requests
from .span_maker import SpanMaker
from .stream_wait import StreamWait

SECONDS_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Upper bounds of the buckets for the time that an export takes."""


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
        spans: Makes spans of its events.
        breaker: Whether batches are offered.
        event_size: How many events the backend takes at once.
        span_size: How many spans.
        wait: When to look again at a stream that could not be read.
        stats: How export calls went.
        next_push: When metrics are to be pushed again, in monotonic seconds.
        no_push_before: Until when the backend has itself waited for.
        lost_at_last_flush: Events that were lost up to then.
        requests: What is asked for.
        stopping: Set when everything is to end.
        deadline: Until when, in monotonic seconds.
        begun: Whether what was saved has been restored.
        down: Why the plugin does not run at present; None while it does.
        off: Whether it was turned off for good.
    """

    name: str
    account: Account
    terms: Terms
    limited_log: LimitedLog
    spans: SpanMaker
    breaker: Breaker = field(factory=Breaker, init=False)
    event_size: OfferSize = field(factory=OfferSize, init=False)
    span_size: OfferSize = field(factory=OfferSize, init=False)
    wait: StreamWait = field(factory=StreamWait, init=False)
    stats: ExportStats = field(factory=ExportStats, init=False)
    next_push: float = field(default=0.0, init=False)
    no_push_before: float = field(default=0.0, init=False)
    lost_at_last_flush: int = field(default=0, init=False)
    requests: Requests = field(factory=Requests, init=False)
    stopping: threading.Event = field(factory=threading.Event, init=False)
    deadline: float = field(default=float("inf"), init=False)
    begun: bool = field(default=False, init=False)
    down: str | None = field(default=None, init=False)
    off: bool = field(default=False, init=False)

    @classmethod
    def of(
        cls, name: str, account: Account, terms: Terms, limited_log: LimitedLog, outlet: Outlet
    ) -> "WorkerState":
        """Begin, with *outlet* to deliver to."""
        spans = SpanMaker(name, account, terms, limited_log, outlet.takes_spans)
        return cls(name, account, terms, limited_log, spans)

    def take_parts(self) -> None:
        """Restore what was saved of each part that is new here, before it is read.

        Raises:
            StreamUnavailableError: It cannot be read at present: call it again.
        """
        (self.terms.take_parts or self.spans.take_parts)()
        self.begun = True

    def to_save(self) -> Mapping[str, Any] | None:
        """Give what is to be saved along with the position."""
        return self.spans.state() if self.terms.state is None else self.terms.state()

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

    def turn_off(self, reason: str, error: BaseException | None = None) -> None:
        """Deliver nothing more, and count what comes as dropped."""
        self.down, self.off = reason, True
        self.spans.settle_held(DOWN)
        self.account.ledger.move_waiting(Place.UNPUSHED, DOWN)
        self.account.close(DOWN)
        told = "plugin %s is turned off: %s"
        self.limited_log.warning("off", told, self.name, reason, error=error)
        self.requests.refuse()
