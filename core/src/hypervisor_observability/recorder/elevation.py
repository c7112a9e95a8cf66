"""Ring elevations, from grant to demotion or expiry."""

import time
from collections.abc import Callable, Mapping

from attrs import define, field

from ..causality.current_trace import current_trace
from ..causality.standing import stand
from ..events import ids
from ..events.event_types import EventType
from ..threads.interruptions import ignoring
from ..values.scalars import plain_scalar
from .attributes import attributes_set, set_attributes
from .event_writer import EventWriter, unless_empty
from .opened import Opened
from .place import current_place


@define(eq=False)
class Elevation:
    """A ring elevation, while it lasts.

    Attributes:
        elevation_id: Unique.
        from_ring: The ring before and after.
        to_ring: The ring meanwhile.
        ttl_seconds: For how long it was granted at most; None: for as long as the block.
    """

    elevation_id: str
    from_ring: int
    to_ring: int
    ttl_seconds: float | None
    _end: Callable[[EventType, str], None] = field(alias="end")
    _began: float = field(init=False, factory=time.monotonic)
    _ended: bool = field(init=False, default=False)
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes

    @property
    def expired(self) -> bool:
        """Whether its time is over, or ``expire`` was called."""
        if self._ended:
            return True
        with ignoring(Exception):  # a time that is no number: nobody can tell that it is over
            ttl_seconds = plain_scalar(self.ttl_seconds)  # as it is recorded
            return ttl_seconds is not None and bool(self.elevated_seconds >= ttl_seconds)
        return False

    @property
    def elevated_seconds(self) -> float:
        """For how long it has lasted."""
        return time.monotonic() - self._began

    def expire(self, reason: str = "") -> None:
        """Record that it ended before its block did; the block's end then records nothing.

        Args:
            reason: Why, where that is not the time.
        """
        self._finish(EventType.RING_ELEVATION_EXPIRED, reason)

    def close(self) -> None:
        """Record its end, if none was recorded: an expiry where its time is over."""
        expired = self.expired
        self._finish(EventType.RING_ELEVATION_EXPIRED if expired else EventType.RING_DEMOTED, "")

    def _finish(self, event_type: EventType, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._end(event_type, reason)


def open_elevation(
    writer: EventWriter,
    from_ring: int,
    to_ring: int,
    reason: str,
    ttl_seconds: float | None,
    attributes: Mapping[str, object] | None,
) -> Opened[Elevation]:
    """Begin an elevation; see ``Recorder.elevation``."""
    place, trace = current_place(), current_trace()

    def end(event_type: EventType, reason: str) -> None:
        ended = {
            "elevation_id": elevation.elevation_id,
            "from_ring": to_ring,
            "to_ring": from_ring,
            "elevated_seconds": elevation.elevated_seconds,
            "reason": unless_empty(reason),
            "attributes": attributes_set(elevation),
        }
        writer.write(event_type, inside, trace, ended)

    elevation = Elevation(
        ids.event_id_text(ids.next_number()), from_ring, to_ring, ttl_seconds, end
    )
    granted = {
        "elevation_id": elevation.elevation_id,
        "from_ring": from_ring,
        "to_ring": to_ring,
        "reason": reason,
        "ttl_seconds": ttl_seconds,
        "attributes": attributes,
    }
    inside = place.within(writer.write(EventType.RING_ELEVATED, place, trace, granted))
    return Opened(elevation, stand(trace, inside), writer, lambda _: elevation.close())
