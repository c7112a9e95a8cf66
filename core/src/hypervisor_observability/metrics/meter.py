"""What a meter is: something that counts events of certain types."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from attrs import define

from ..events.event import HypervisorEvent
from .families import MetricFamily
from .histogram import Histogram
from .instruments import Counter, Gauge
from .open_work import Key, OpenWork
from .saved_series import restore_instrument, state_of_instrument

Gone = Mapping[str, list[Key]]
"""What of each kind of open work is forgotten."""


@define(eq=False)
class Moment:
    """What meters share while they observe.

    Attributes:
        run: The process's run that the events at hand are of; empty for this process.
    """

    run: str = ""


class Instruments:
    """What a meter counts with.

    Args:
        instruments: Told apart by name.
        open_work: What goes on, by a name for each kind of it.
        forgotten: Called with what was forgotten when a run ended.
    """

    def __init__(
        self,
        *instruments: Counter | Gauge | Histogram,
        open_work: Mapping[str, OpenWork] | None = None,
        forgotten: Callable[[Gone], None] = lambda _: None,
    ) -> None:
        self._by_name = {instrument.name: instrument for instrument in instruments}
        self._open_work = open_work or {}
        self._forgotten = forgotten

    def __iter__(self) -> Iterator[Counter | Gauge | Histogram]:
        return iter(self._by_name.values())

    def limit(self, max_series: int) -> None:
        """Have at most *max_series* series of each from now on, beside those of the overflow."""
        for instrument in self:
            if isinstance(instrument, Gauge):
                instrument.max_series = max_series
            else:
                instrument.keys.limit(max_series)

    def end_run(self, run: str) -> None:
        """Forget what only holds while *run* goes on."""
        for instrument in self:
            if isinstance(instrument, Gauge):
                instrument.end_run(run)
        self._forgotten({name: work.end_run(run) for name, work in self._open_work.items()})

    def runs(self) -> set[str]:
        """Give the runs of which there is something that ``end_run`` would forget."""
        gauges = [instrument for instrument in self if isinstance(instrument, Gauge)]
        holders: list[Gauge | OpenWork] = [*self._open_work.values(), *gauges]
        return {run for holder in holders for run in holder.runs()}

    def state(self) -> dict[str, Any]:
        """Give what was counted and what goes on, as plain JSON values; no gauges."""
        return {
            "counted": {
                instrument.name: state_of_instrument(instrument)
                for instrument in self
                if not isinstance(instrument, Gauge)
            },
            "open": {name: work.state() for name, work in self._open_work.items()},
        }

    def restore(self, state: Any) -> list[str]:
        """Take what ``state`` gave.

        Returns:
            Names of metrics that had other labels or bounds then: they begin at zero.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: It is something else.
        """
        counted, going_on = state["counted"], state["open"]
        changed = [
            instrument.name
            for instrument in self
            if not isinstance(instrument, Gauge)
            and instrument.name in counted
            and not restore_instrument(instrument, counted[instrument.name])
        ]
        for name, work in self._open_work.items():
            if name in going_on:
                work.restore(going_on[name])
        return changed


class Meter(Protocol):
    """Something that counts events of certain types and gives metric families."""

    @property
    def event_types(self) -> Iterable[str] | None:
        """The types that it observes; None: all."""

    @property
    def instruments(self) -> Instruments:
        """What it counts with."""

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of these types."""

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
