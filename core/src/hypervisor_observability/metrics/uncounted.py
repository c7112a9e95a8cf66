"""What could not be counted: values that are no amounts, and events at which a meter failed."""

from collections.abc import Iterable

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .families import MetricFamily
from .instruments import Counter
from .meter import Instruments

INVALID_VALUES = "agent_hypervisor_observability_invalid_values_total"
METER_ERRORS = "agent_hypervisor_observability_meter_errors_total"


class Uncounted:
    """What payloads say and no metric can take.

    Args:
        metrics: Names of the metrics whose values are read by this.
    """

    event_types: Iterable[str] = ()

    def __init__(self, *metrics: str) -> None:
        self.invalid = Counter(
            INVALID_VALUES,
            "Values of payloads that a metric cannot take",
            ("metric",),
            fixed={"metric": metrics},
        )
        self.errors = Counter(METER_ERRORS, "Events at which a meter failed: they cost themselves")
        self.instruments = Instruments(self.invalid, self.errors)

    def amount(self, event: HypervisorEvent, key: str, metric: str) -> float | None:
        """Give the amount under *key*; what is none is counted as invalid for *metric*."""
        found = payload_facts.amount(event, key)
        self._check(event, key, metric, found)
        return found

    def count(self, event: HypervisorEvent, key: str, metric: str) -> int | None:
        """Give the number of things under *key*, likewise."""
        found = payload_facts.count(event, key)
        self._check(event, key, metric, found)
        return found

    def observe(self, event: HypervisorEvent) -> None:
        """Observe nothing: the other meters tell."""

    def families(self) -> list[MetricFamily]:
        """Give the present state."""
        return [self.invalid.family(), self.errors.family()]

    def _check(self, event: HypervisorEvent, key: str, metric: str, found: object) -> None:
        if found is None and payload_facts.has(event, key):
            self.invalid.increase((metric,), event=event)
