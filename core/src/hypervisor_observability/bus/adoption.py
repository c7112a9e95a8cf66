"""Take over events of other packages, and count anything that is not an event."""

from typing import Any

from ..events.draft import fields_of
from ..events.event import HypervisorEvent
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler


class Adoption:
    """Makes one of our events of any object with the eight fields of an event.

    Args:
        limited_log: Gets a line for each object that is refused.

    Attributes:
        refused: How many objects were refused.
    """

    def __init__(self, limited_log: LimitedLog) -> None:
        self._limited_log = limited_log
        self.refused = 0

    def adopt(self, event: Any) -> HypervisorEvent | None:
        """Give *event* as one of ours, or count it and give None. Never raises."""
        try:
            return HypervisorEvent(*fields_of(event))
        except Exception as error:  # whatever it is, emit does not raise
            if is_from_handler(error):
                raise
            self.refused += 1
            self._limited_log.warning(
                "refused", "emit got no event but a %s", type(event).__name__, error=error
            )
            return None
