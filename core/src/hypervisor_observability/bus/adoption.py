"""Events of other packages, which are taken over as ours, and what is none."""

from typing import Any

from ..events.draft import fields_of
from ..events.event import HypervisorEvent
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler


class Adoption:
    """Takes over what has the eight fields of an event.

    Args:
        limited_log: Where is logged what has not.

    Attributes:
        refused: How many things were no events.
    """

    def __init__(self, limited_log: LimitedLog) -> None:
        self._limited_log = limited_log
        self.refused = 0

    def adopt(self, event: Any) -> HypervisorEvent | None:
        """Make *event* one of ours; None, counted and logged, if it is none. Never raises."""
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
