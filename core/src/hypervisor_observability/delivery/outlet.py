"""What a worker delivers to, and what it needs for that."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from ..events.event import HypervisorEvent
from ..facts.prices import Prices
from ..metrics.families import MetricFamily
from ..spans.record import FinishedSpan
from ..spans.sampling import Sampling
from .dead_letters import DeadLetters


class HookShapeError(ValueError):
    """A hook is of a kind that cannot be called, or has given what nobody would wait for."""


class Outlet(Protocol):
    """Where a worker's batches go. The hooks of a plugin are one, the registry another.

    Each call may raise anything. ``HookShapeError`` says that nothing was sent, nor ever will be.
    """

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


def unchanged(event: HypervisorEvent) -> HypervisorEvent:
    """Give *event* as it is."""
    return event


@frozen(kw_only=True)
class Terms:
    """How events come to an outlet.

    Attributes:
        wanted: Tells whether a type of events is wanted; None: all are.
        admit: Takes from an event what may not leave the process; before anything else.
        disclose: Takes from an event what this outlet may not see. Spans are assembled before.
        max_batch_events: Most events handed over at once.
        max_batch_bytes: Most memory that they hold, as estimated.
        interval_seconds: Longest time an event waits before it is handed over.
        metrics: Where pushed metrics come from.
        metrics_interval_seconds: Time between two pushes.
        hook_timeout_seconds: Longest time for a call; None: never given up.
        renewed: Makes a fresh outlet in place of one that was given up; None: the same is
            called again when the call that hung has returned.
        start: Starts a fresh one; may raise to say that it cannot run.
        ends: Whether the outlet has something to let go of. If not, a worker that never had an
            event needs no thread to end, which Python 3.12 refuses when the process ends.
        given_up: Told of an outlet whose hook hangs, so that it may end the call, and whether
            nothing of it is called again, so that it may end all else.
        own_threads: Gets the identifiers of the threads in which hooks are called.
        pending_sessions: Whether sessions are handed over when they begin, too.
        prices: To estimate costs of which nobody told; None: they are not estimated.
        sampling: Which traces are handed over; None: all.
        state: Gives what is saved along with the cursor; None: the open spans are.
        take_parts: Restores what *state* has given, before each reading; see ``PerPart``. None:
            the open spans are restored.
        dead_letters: Where refused events are kept; None: nowhere.
    """

    wanted: Callable[[str], bool] | None = None
    admit: Callable[[HypervisorEvent], HypervisorEvent] = unchanged
    disclose: Callable[[HypervisorEvent], HypervisorEvent] = unchanged
    max_batch_events: int = 512
    max_batch_bytes: int = 1024 * 1024
    interval_seconds: float = 0.2
    metrics: Metrics | None = None
    metrics_interval_seconds: float = 10.0
    hook_timeout_seconds: float | None = None
    renewed: Callable[[], Outlet] | None = None
    start: Callable[[Outlet], None] = field(default=lambda _: None)
    ends: bool = True
    given_up: Callable[[Outlet, bool], None] = field(default=lambda _outlet, _for_good: None)
    own_threads: set[int] = field(factory=set)
    pending_sessions: bool = False
    prices: Prices | None = None
    sampling: Sampling | None = None
    state: Callable[[], Mapping[str, Any] | None] | None = None
    take_parts: Callable[[], object] | None = None
    dead_letters: DeadLetters | None = None
