"""All metrics of a process: fed with events by one reader, read by whoever asks."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import evolve

from ..events import clock
from ..events.event import HypervisorEvent
from ..facts.prices import Prices
from ..text.limited_log import LimitedLog
from .families import MetricFamily
from .labels import LabelRules
from .meters import Meters
from .rings import ELEVATION_ACTIVE
from .series_metrics import series_families

_STATE_VERSION = 2
_GIVEN_EMPTY = frozenset({ELEVATION_ACTIVE})
"""That nobody is elevated is worth to be told, too."""


class MetricsRegistry:
    """The meters, behind one lock.

    Args:
        rules: How agents and sessions are shown, and how many.
        now_ns: Gives the present time in nanoseconds since the epoch.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """

    def __init__(
        self,
        rules: LabelRules = LabelRules(),  # noqa: B008 - frozen
        *,
        now_ns: Callable[[], int] = clock.now_ns,
        prices: Prices | None = None,
    ) -> None:
        self._rules, self._prices = rules, prices
        self._now_ns = now_ns
        self._callbacks: list[Callable[[], list[MetricFamily]]] = []
        self._log = LimitedLog(__name__)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Count from nothing, as in a fork's child."""
        # Re-entrant: who is interrupted while reading metrics may read them.
        self._lock = threading.RLock()
        # Since when what this process alone counts is counted, and since when the rest is.
        self._born_ns = self._since_ns = self._now_ns()
        self._since_restart: frozenset[str] = frozenset()
        self._take(Meters(self._rules, self._now_ns, self._prices))

    def _take(self, meters: Meters) -> None:
        self._meters = meters
        self._observers: dict[str, tuple[Callable[[HypervisorEvent], None], ...]] = {}
        for meter in meters:
            for event_type in meter.event_types:
                known = self._observers.get(event_type, ())
                self._observers[event_type] = (*known, meter.observe)

    def observe(self, events: Sequence[HypervisorEvent], run: str = "") -> None:
        """Count *events*, each as if it came alone: one at which a meter fails costs itself.

        Args:
            events: In their order.
            run: The process's run that they are of, where there are several; see ``end_run``.
        """
        with self._lock:
            self._meters.withdrawals.tick()
            self._meters.moment.run = run
            self._meters.event_counts.observe_all(events)
            for event in events:
                for observer in self._observers.get(event.event_type, ()):
                    try:
                        observer(event)
                    except Exception as error:  # noqa: BLE001 - a batch that is offered again counts twice
                        self._note_failure(event, error)

    def _note_failure(self, event: HypervisorEvent, error: Exception) -> None:
        self._meters.uncounted.errors.increase()
        self._log.warning("meter", "a meter failed at a %s", event.event_type.value, error=error)

    def end_run(self, run: str) -> None:
        """Forget what only holds while *run* goes on: gauges, open sessions and the like.

        Counters and histograms stay. The series of its sessions are withdrawn as if they had
        ended.
        """
        with self._lock:
            self._meters.instruments.end_run(run)

    @property
    def runs(self) -> set[str]:
        """The runs of which there is something that ``end_run`` would forget."""
        with self._lock:
            return self._meters.instruments.runs()

    def state(self) -> dict[str, Any]:
        """Give all that was counted, as plain JSON values, to be kept over a restart.

        Counters, histograms and what has begun and not ended; no gauges, no examples.
        """
        with self._lock:
            state = self._meters.state()
            return {"version": _STATE_VERSION, "since_ns": self._since_ns, **state}

    def restore(self, state: Any) -> list[str]:
        """Count on from what ``state`` gave, in place of all that was counted here.

        Returns:
            Names of metrics that had other labels or bounds then: they begin at zero.

        Raises:
            ValueError: It is something else. Nothing has changed.
        """
        meters = Meters(self._rules, self._now_ns, self._prices)
        try:
            if state["version"] != _STATE_VERSION:
                raise ValueError(f"version {state['version']!r:.20}")
            changed = meters.restore(state)
            since_ns = state.get("since_ns", self._born_ns)
            if type(since_ns) is not int or since_ns < 0:
                raise ValueError(f"since_ns {since_ns!r:.20}")
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"no state of metrics: {type(error).__name__}: {error}") from error
        with self._lock:
            self._take(meters)
            self._since_ns, self._since_restart = since_ns, frozenset(changed)
        return changed

    def _dated(self, family: MetricFamily) -> MetricFamily:
        anew = family.name in self._since_restart
        return evolve(family, since_ns=self._born_ns if anew else self._since_ns)

    def add_callback(self, callback: Callable[[], list[MetricFamily]]) -> None:
        """Ask *callback* for further families whenever metrics are read."""
        self._callbacks.append(callback)

    def collect(self) -> list[MetricFamily]:
        """Give all families that have series, and since when they count; that of running
        elevations also without any.
        """
        return self.counted() + self.further()

    def counted(self) -> list[MetricFamily]:
        """Give the families of the meters."""
        with self._lock:
            self._meters.withdrawals.tick()
            families = self._meters.instruments.families()
            families += series_families(families, self._meters.instruments)
            return _shown(self._dated(family) for family in families)

    def further(self) -> list[MetricFamily]:
        """Give the families of the callbacks."""
        return _shown(
            evolve(family, since_ns=self._born_ns)
            for callback in self._callbacks
            for family in callback()
        )


def _shown(families: Iterable[MetricFamily]) -> list[MetricFamily]:
    return [
        family
        for family in families
        if family.series or family.histograms or family.name in _GIVEN_EMPTY
    ]
