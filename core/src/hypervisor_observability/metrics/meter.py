"""What a meter is: something that counts events of certain types."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ..events.event import HypervisorEvent
from ..facts.lasting import Key
from .families import MetricFamily
from .histogram import Histogram
from .instruments import Counter, Gauge
from .open_work import OpenWork
from .saved_series import restore_instrument, state_of_instrument

Instrument = Counter | Gauge | Histogram
Gone = Mapping[str, list[Key]]
"""What of each kind of open work is forgotten."""


class Instruments:
    """What one meter counts with, or several.

    Args:
        instruments: Told apart by name; shown in this order.
        open_work: What goes on, by a name for each kind of it.
        forgotten: Called with what was forgotten when a run ended.
    """

    def __init__(
        self,
        *instruments: Instrument,
        open_work: Mapping[str, OpenWork] | None = None,
        forgotten: Callable[[Gone], None] = lambda _: None,
    ) -> None:
        self._all = instruments
        self._open_work = open_work or {}
        self._forgotten = [forgotten]

    @classmethod
    def of_all(cls, parts: "Iterable[Instruments]") -> "Instruments":
        """Give those of several meters as one."""
        parts = list(parts)
        together = cls(
            *(one for part in parts for one in part),
            open_work={name: work for part in parts for name, work in part._open_work.items()},
        )
        together._forgotten = [one for part in parts for one in part._forgotten]
        return together

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._all)

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [instrument.family() for instrument in self]

    def limit(self, max_series: int) -> None:
        """Have at most *max_series* series of each from now on, beside those of the overflow."""
        for instrument in self:
            if isinstance(instrument, Gauge):
                instrument.max_series = max_series
            else:
                instrument.bounded.limit(max_series)

    def end_run(self, run: str) -> None:
        """Forget what only holds while *run* goes on."""
        for gauge in self._gauges():
            gauge.end_run(run)
        gone = {name: work.end_run(run) for name, work in self._open_work.items()}
        for forgotten in self._forgotten:
            forgotten(gone)

    def runs(self) -> set[str]:
        """Give the runs of which there is something that ``end_run`` would forget."""
        holders: list[Gauge | OpenWork] = [*self._open_work.values(), *self._gauges()]
        return {run for holder in holders for run in holder.runs()}

    def state(self) -> dict[str, Any]:
        """Give what was counted and what goes on, as plain JSON values; no gauges."""
        return {
            "counted": {one.name: state_of_instrument(one) for one in self._counting()},
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
        for name, work in self._open_work.items():
            if name in going_on:
                work.restore(going_on[name])
        return [
            one.name
            for one in self._counting()
            if one.name in counted and not restore_instrument(one, counted[one.name])
        ]

    def _gauges(self) -> list[Gauge]:
        return [instrument for instrument in self if isinstance(instrument, Gauge)]

    def _counting(self) -> list[Counter | Histogram]:
        return [instrument for instrument in self if not isinstance(instrument, Gauge)]


class Meter(Protocol):
    """Something that counts events of certain types."""

    @property
    def event_types(self) -> Iterable[str]:
        """The types that it observes."""

    @property
    def instruments(self) -> Instruments:
        """What it counts with."""

    def observe(self, event: HypervisorEvent) -> None:
        """Count one event of these types."""
