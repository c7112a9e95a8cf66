"""Recording through a store: whatever it raises, the event is appended."""

from collections.abc import Callable

from ..events.event import HypervisorEvent
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from .log import STAGED_EVENTS, EventLog

Append = Callable[[HypervisorEvent], object]


class Recording:
    """Has events recorded before they are appended.

    Args:
        log: Where they are appended.
        limited_log: Where a store that raises is logged.

    Attributes:
        errors: For how many events the store raised.
    """

    def __init__(self, log: EventLog, limited_log: LimitedLog) -> None:
        self._log = log
        self._limited_log = limited_log
        self.errors = 0

    def through(self, record: Callable[[HypervisorEvent, Append], object]) -> Append:
        """Give what stages an event by having it recorded first."""
        append = self._log.stage

        def stage(event: HypervisorEvent) -> None:
            try:
                record(event, append)
            except Exception as error:
                if is_from_handler(error):
                    raise
                self._failed(event, error)

        return stage

    def _failed(self, event: HypervisorEvent, error: Exception) -> None:
        self.errors += 1
        self._limited_log.warning("record", "the store raised for an event", error=error)
        # It may have raised before it appended, or behind that.
        end = self._log.end
        newest = self._log.read(max(0, end - 2 * STAGED_EVENTS), 2 * STAGED_EVENTS).events
        if not any(one is event for one in newest):
            self._log.stage(event)
