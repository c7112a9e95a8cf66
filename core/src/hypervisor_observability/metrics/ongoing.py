"""How many there are of what lasts until it is ended: vouches and quarantines."""

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts import lasting
from .instruments import Gauge
from .meter import Instruments
from .open_work import Moment, OpenWork

VOUCHES_ACTIVE = "agent_hypervisor_vouches_active"
QUARANTINES_ACTIVE = "agent_hypervisor_quarantines_active"


class Ongoing:
    """Count those of a kind that have begun and not ended; ``lasting`` tells them apart.

    Args:
        kind: What they are called in a saved state.
        gauge: The name of the metric, and what it tells.
        begins: The type of the events that begin one.
        ends: Likewise.
        moment: On whose behalf events are observed.
    """

    def __init__(
        self,
        kind: str,
        gauge: tuple[str, str],
        begins: EventType,
        ends: EventType,
        moment: Moment,
    ) -> None:
        self.event_types = (begins, ends)
        self._begins = begins
        self._open = open_ = OpenWork(moment, 3)
        self.instruments = Instruments(
            Gauge(*gauge, shown=lambda: {(): open_.count}), open_work={kind: open_}
        )

    def observe(self, event: HypervisorEvent) -> None:
        """Count the beginning or the end of one."""
        key = lasting.key_of(event)
        if event.event_type == self._begins:
            self._open.begin(key, event)
        else:
            self._open.end(key)


def ongoing(moment: Moment) -> list[Ongoing]:
    """Make all of them."""
    return [
        Ongoing(
            "vouches",
            (VOUCHES_ACTIVE, "Vouches that were not released"),
            EventType.VOUCH_CREATED,
            EventType.VOUCH_RELEASED,
            moment,
        ),
        Ongoing(
            "quarantines",
            (QUARANTINES_ACTIVE, "Quarantines that were not released"),
            EventType.QUARANTINE_ENTERED,
            EventType.QUARANTINE_RELEASED,
            moment,
        ),
    ]
