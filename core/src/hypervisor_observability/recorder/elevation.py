"""Ring elevations, from grant to demotion."""

import time

from attrs import frozen

from .. import ids
from ..current_trace import current_trace
from ..event_types import EventType
from .event_writer import EventWriter
from .place import current_place, enter
from .scope import Opened


@frozen(eq=False)
class Elevation:
    """A ring elevation, while it lasts.

    Attributes:
        elevation_id: Unique.
        from_ring: The ring before and after.
        to_ring: The ring meanwhile.
    """

    elevation_id: str
    from_ring: int
    to_ring: int


def open_elevation(
    writer: EventWriter, from_ring: int, to_ring: int, reason: str, ttl_seconds: float | None
) -> Opened[Elevation]:
    """Begin an elevation; see ``Recorder.elevation``."""
    elevation = Elevation(ids.event_id_text(ids.next_number()), from_ring, to_ring)
    place, trace = current_place(), current_trace()
    granted = {
        "elevation_id": elevation.elevation_id,
        "from_ring": from_ring,
        "to_ring": to_ring,
        "reason": reason,
        "ttl_seconds": ttl_seconds,
    }
    inside = place.within(writer.write(EventType.RING_ELEVATED, place, trace, granted))
    began, leave = time.monotonic(), enter(inside)

    def close(_error: BaseException | None) -> None:
        leave()
        ended = {
            "elevation_id": elevation.elevation_id,
            "from_ring": to_ring,
            "to_ring": from_ring,
            "elevated_seconds": time.monotonic() - began,
        }
        writer.write(EventType.RING_DEMOTED, inside, trace, ended)

    return Opened(elevation, close)
