"""The supervisor: sees to workers whose hooks hang, and writes the status, each second."""

import threading
import time
from collections.abc import Callable, Sequence

from ..delivery.worker import Worker
from ..text.limited_log import LimitedLog
from ..threads.one_thread import OneThread

STATUS_SECONDS = 1.0

_LATE = 1.5
_LATE_COUNTS_AS = 0.25


class PatientClock:
    """The time as somebody who looks regularly has seen it pass.

    Whoever comes late was not there: the process was stopped, the machine suspended, or the
    processor busy, and hooks could do no more meanwhile than the clock's reader. So of a longer
    gap than usual only a small part counts, however long it was.

    Args:
        interval_seconds: How often somebody looks.
        now: Gives a time that never goes back, in seconds.
    """

    def __init__(self, interval_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = interval_seconds
        self._now = now
        self._last = now()
        self._seen = 0.0

    def look(self) -> float:
        """Give the seconds that were seen to pass, this gap included."""
        now = self._now()
        gap, self._last = now - self._last, now
        if gap > _LATE * self._interval_seconds:
            gap = _LATE_COUNTS_AS * self._interval_seconds
        self._seen += gap
        return self._seen


class Supervisor:
    """A daemon thread that looks at the workers again and again.

    Args:
        workers: Whom it looks after.
        hook_timeout_seconds: Least of their hooks' longest times.
        write_status: Called each second; None: never. What it raises is told.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        hook_timeout_seconds: float,
        write_status: Callable[[], None] | None = None,
    ) -> None:
        self._workers = workers
        self._interval_seconds = min(STATUS_SECONDS, hook_timeout_seconds / 4)
        self._write_status = write_status
        self._status_due = 0.0
        self._stopping = threading.Event()
        self._thread = OneThread("supervisor")
        self._limited_log = LimitedLog(__name__)

    def ensure_running(self) -> None:
        """Start the thread unless it runs.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        self._thread.start(self._run)

    def stop(self) -> None:
        """End, after writing the status once more."""
        self._stopping.set()
        self._note_status()

    def _run(self) -> None:
        clock = PatientClock(self._interval_seconds)
        while not self._stopping.wait(self._interval_seconds):
            now = clock.look()
            for worker in self._workers:
                try:
                    worker.replace_if_stuck(now)
                except Exception as error:  # noqa: BLE001 - the others have to be looked at too
                    self._limited_log.warning(
                        "replace", "looking at plugin %s failed", worker.name, error=error
                    )
            if time.monotonic() >= self._status_due:
                self._status_due = time.monotonic() + STATUS_SECONDS
                self._note_status()

    def _note_status(self) -> None:
        if self._write_status is None:
            return
        try:
            self._write_status()
        except Exception as error:  # noqa: BLE001 - a full disk is no reason to end
            self._limited_log.warning("status", "status not written: %s", error)
