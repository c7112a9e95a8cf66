"""What became of the events, for one plugin: how many, and why they were dropped."""

from collections.abc import Mapping

from attrs import frozen

OVERFLOW = "overflow"
"""The log gave the event up before it was read: its bound was passed, or it was cleared."""
EXPIRED = "expired"
"""Neither the log nor the journal had the event any more, or the journal never had it."""
NOT_REPLAYED = "not_replayed"
"""An earlier process has left it, and the plugin begins with this one."""
DEFERRED = "deferred"
"""Delivery has ended, the plugin is down, or another agent reads the event now; the store keeps it
for the next process."""
FILTERED = "filtered"
"""The plugin's table asks for other types of events."""
SAMPLED = "sampled"
"""The trace of the spans that it ended is not among those that the plugin is handed."""
STOPPED = "stopped"
"""Delivery had ended."""
DOWN = "down"
"""The plugin could not start, or was turned off."""
IN_DOUBT = "in_doubt"
"""The hook that had them hung and was given up, or the process ended meanwhile: the backend may
have them or not."""

UNVERIFIED = "unverified"
"""The store received it, but cannot prove that a process recorded it as it is."""

REASONS_TO_LEAVE = frozenset({DEFERRED, NOT_REPLAYED, UNVERIFIED})
"""Why a shared store may skip events; see ``SharedStream.left``."""

UNWANTED = (FILTERED, SAMPLED, NOT_REPLAYED)
"""Dropped for these reasons, an event was not to be had by the backend."""

NO_LOSS = (*UNWANTED, DEFERRED)
"""Dropped for these, no event is lost: what is deferred, the next process delivers."""


@frozen(kw_only=True)
class Counts:
    """What became of the events, for one plugin, at one moment. All are event counts.

    Attributes:
        emitted: All events of the bus, and those that earlier processes have left.
        delivered: The backend has them.
        rejected: They were offered and refused.
        dropped: They were never offered, by reason.
        in_flight: They were handed to the plugin, whose answer is awaited, or the spans that
            they ended are held until their trace is decided on, or the push of metrics that
            holds them is still to come.
        pending: They wait.
    """

    emitted: int
    delivered: int
    rejected: int
    dropped: Mapping[str, int]
    in_flight: int
    pending: int

    @property
    def dropped_total(self) -> int:
        """Events dropped for any reason."""
        return sum(self.dropped.values())

    @property
    def missed(self) -> Mapping[str, int]:
        """Events that the backend was to have and did not get, by ``rejected`` or the reason."""
        dropped = {why: n for why, n in self.dropped.items() if why not in UNWANTED and n}
        return {"rejected": self.rejected, **dropped} if self.rejected else dropped

    @property
    def wanted(self) -> int:
        """Events that the backend was to have."""
        return self.emitted - sum(self.dropped.get(reason, 0) for reason in UNWANTED)
