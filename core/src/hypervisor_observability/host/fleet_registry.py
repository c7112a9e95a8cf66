"""The metrics of an agent: a registry for each part of what it follows."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from attrs import define, field

from ..delivery.parts import PerPart
from ..errors import RetryLater, StreamUnavailableError
from ..events.event import HypervisorEvent
from ..metrics.families import MetricFamily
from ..metrics.partitions import PartitionMetrics, together
from ..metrics.registry import MetricsRegistry
from .store_streams import CheckedStream

_logger = logging.getLogger(__name__)


@define(eq=False)
class _PartRegistry:
    registry: MetricsRegistry
    partition: PartitionMetrics

    def collect(self, unfinished: set[str] | None, *, shared: bool) -> list[MetricFamily]:
        if unfinished is not None:
            for run in self.registry.runs - unfinished:
                self.registry.end_run(run)
        families = self.registry.counted()
        return self.partition.labelled(families) if shared else families


@define(eq=False)
class FleetRegistry:
    """Counts the events of many runs, by part, on top of the totals that were saved.

    Attributes:
        stream: What is read; it says which parts this agent owns, and which run events belong to.
        own: The metrics of the agent itself.
        make: Makes a registry that counts from nothing.
        admit: Takes from an event what may not leave the process.
    """

    stream: CheckedStream
    own: MetricsRegistry
    make: Callable[[], MetricsRegistry]
    admit: Callable[[HypervisorEvent], HypervisorEvent]
    _parts: PerPart[_PartRegistry] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._parts = PerPart(self.stream, self._begin)

    def take_parts(self) -> None:
        """Restore the totals of parts that are new here, and drop those of parts that were lost.

        Raises:
            StreamUnavailableError: They cannot be read at present: call it again.
        """
        self._parts.take()

    def _begin(self, part: str) -> _PartRegistry:
        """Restore the totals that were saved, and count what was delivered since."""
        made = _PartRegistry(self.make(), PartitionMetrics(part))
        state = self.stream.state_of(part)
        if state is not None:
            try:
                made.registry.restore(state)
            except ValueError as error:
                _logger.warning("totals begin at zero: %s", error)
        for run, events in self.stream.since_state_of(part):
            made.registry.observe([self.admit(event) for event in events], run=run)
        if self.stream.shared:
            made.partition.take_over(made.registry.counted())
        return made

    def observe(self, events: Sequence[HypervisorEvent]) -> None:
        """Count *events*, all of the part that was read last."""
        # A batch may hold events of many runs, in their order; or a part of them, offered again.
        try:
            made, in_flight = self._parts.of(self.stream.part), self.stream.in_flight
        except StreamUnavailableError as error:
            raise RetryLater(str(error)) from error
        if made is None:
            return
        runs = {event.event_id: run for run, some in in_flight for event in some}
        for run, some in groupby(events, lambda event: runs.get(event.event_id, "")):
            made.registry.observe(list(some), run=run)

    def state(self) -> Mapping[str, Any] | None:
        """Give the totals of the part that was read last, to save along with its position."""
        made = self._parts.of(self.stream.part)
        return None if made is None else made.registry.state()

    def collect(self) -> list[MetricFamily]:
        """Give the families of all parts that this agent owns now, then its own."""
        unfinished = None
        shown = self._parts.items()
        with suppress(StreamUnavailableError):
            now = self.stream.parts
            shown = [(part, made) for part, made in shown if part in now]
            unfinished = self.stream.unfinished
        shared = self.stream.shared
        families = [made.collect(unfinished, shared=shared) for _, made in shown]
        return together(families) + self.own.further()

    def begin_anew(self) -> None:
        """Count from nothing. Never called: an agent does not fork."""
        self.own.begin_anew()
