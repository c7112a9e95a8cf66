"""Sagas: how many ended, how, and how long they took."""

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import saga_facts
from .histogram import Histogram
from .instruments import Counter
from .meter import Instruments
from .open_work import Moment, OpenWork
from .uncounted import Uncounted

SAGAS = "agent_hypervisor_sagas_total"
SAGA_DURATION = "agent_hypervisor_saga_duration_seconds"

SAGA_BOUNDS_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600)


class SagaMetrics:
    """What is counted of sagas as a whole.

    Args:
        moment: On whose behalf events are observed.
        uncounted: Where durations that are none are counted.
    """

    event_types = (EventType.SAGA_CREATED, *saga_facts.SAGA_ENDS)

    def __init__(self, moment: Moment, uncounted: Uncounted) -> None:
        self._uncounted = uncounted
        self._open = OpenWork(moment)
        labels = {"outcome": saga_facts.OUTCOMES}
        self.sagas = Counter(SAGAS, "Sagas that ended, by outcome", labels)
        self.duration = Histogram(
            SAGA_DURATION,
            "Time that sagas took, by outcome",
            labels,
            bounds=SAGA_BOUNDS_SECONDS,
            unit="seconds",
        )
        self.instruments = Instruments(self.sagas, self.duration, open_work={"sagas": self._open})

    def observe(self, event: HypervisorEvent) -> None:
        """Count the beginning or the end of a saga."""
        key = (saga_facts.saga_id(event),)
        if event.event_type == EventType.SAGA_CREATED:
            self._open.begin(key, event)
            return
        outcome = saga_facts.outcome(event)
        self.sagas.increase((outcome,), event=event)
        begun = self._open.end(key)
        if begun is not None:
            seconds = self._uncounted.seconds(begun.start_ns, event, SAGA_DURATION)
            self.duration.observe((outcome,), seconds, event)
