"""What could not be counted: values that are no amounts, and events at which a meter failed."""

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from .instruments import Counter
from .meter import Instruments

INVALID_VALUES = "agent_hypervisor_observability_invalid_values_total"
METER_ERRORS = "agent_hypervisor_observability_meter_errors_total"


class Uncounted:
    """What payloads say and no metric can take.

    Args:
        metrics: Names of the metrics whose values are read by this.
    """

    def __init__(self, *metrics: str) -> None:
        self.invalid = Counter(
            INVALID_VALUES,
            "Values of payloads that a metric cannot take",
            {"metric": metrics},
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

    def seconds(self, start_ns: int, event: HypervisorEvent, metric: str) -> float:
        """Give how long something took that *event* ended, never negative.

        Args:
            start_ns: When it began, in nanoseconds since the epoch.
            event: A duration that it says was measured (``duration_seconds``) is taken.
            metric: For which metric.
        """
        measured = self.amount(event, "duration_seconds", metric)
        if measured is not None:
            return float(measured)
        return max(0, event.timestamp_ns - start_ns) / 1e9

    def _check(self, event: HypervisorEvent, key: str, metric: str, found: object) -> None:
        if found is None and payload_facts.has(event, key):
            self.invalid.increase((metric,), event=event)
