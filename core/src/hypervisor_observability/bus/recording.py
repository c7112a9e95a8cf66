"""What becomes of an event before it is appended: a store records it, or somebody takes it aside.

Whatever a store raises, the event is appended.
"""

from collections.abc import Callable, Container
from threading import get_ident

from ..events.event import HypervisorEvent
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler, is_of_application
from .log import STAGED_EVENTS, EventLog

Append = Callable[[HypervisorEvent], object]
Record = Callable[[HypervisorEvent, Append], object]


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
        self._record: Record | None = None
        self._sync: Callable[[], object] | None = None
        self._apart: tuple[Container[int], Append] | None = None
        self.errors = 0

    def through(self, record: Record) -> Append:
        """Give what stages an event by having it recorded first. Only then ``sync_with``."""
        self._record = record
        return self._stage()

    def sync_with(self, sync: Callable[[], object]) -> None:
        """Have *sync* say whether the disk holds what was recorded."""
        self._sync = sync

    def nowhere(self) -> Append:
        """Give what stages an event, and has it recorded no longer."""
        self._sync = self._record = None
        return self._stage()

    def apart(self, threads: Container[int], take: Append) -> Append:
        """Give what stages an event, but those of *threads*: *take* gets them."""
        self._apart = threads, take
        return self._stage()

    def sync(self) -> bool:
        """Have the store sync; tell whether it did. An ``OSError`` is its way to say no."""
        if self._sync is None:
            return False
        try:
            return self._sync() is not False
        except OSError as error:
            if is_from_handler(error):
                raise
        except BaseException as error:
            if is_of_application(error):
                raise
            self._limited_log.warning("sync", "the store raised when it had to sync", error=error)
        return False

    # Inside

    def _stage(self) -> Append:
        record = self._record
        stage: Append = self._log.stage if record is None else self._recorded(record)
        if self._apart is None:
            return stage
        threads, take = self._apart

        def stage_or_take(event: HypervisorEvent) -> None:
            if get_ident() in threads:
                take(event)
            else:
                stage(event)

        return stage_or_take

    def _recorded(self, record: Record) -> Append:
        append = self._log.stage

        def stage(event: HypervisorEvent) -> None:
            try:
                record(event, append)
            except BaseException as error:
                if is_of_application(error):
                    raise
                self._failed(event, error)

        return stage

    def _failed(self, event: HypervisorEvent, error: BaseException) -> None:
        self.errors += 1
        self._limited_log.warning("record", "the store raised for an event", error=error)
        # It may have raised before it appended, or behind that.
        end = self._log.end
        newest = self._log.read(max(0, end - 2 * STAGED_EVENTS), 2 * STAGED_EVENTS).events
        if not any(one is event for one in newest):
            self._log.stage(event)
