"""Upkeep: the thread that syncs a run, allocates ahead, anchors, and keeps the bounds."""

import threading
import time
from collections.abc import Callable

from attrs import define, field

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.proof.anchors import Anchor, Anchorage
from hypervisor_journal.proof.key_files import take_run_key
from hypervisor_journal.runs.runs import Run
from hypervisor_journal.upkeep.retention import Retention
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_observability.threads.one_thread import OneThread

_RETENTION_SECONDS = 10.0


@define(eq=False, kw_only=True)
class Upkeep:
    """Looks after a writer in a daemon thread, from its run's beginning to its end.

    Attributes:
        config: The table.
        writer: Whose run it is.
        retention: The bounds of the directory.
        announce: Takes each anchor, to send it where the journal is not.
        bytes: On the disk in the whole directory, when it was last looked at.
        proven: The newest anchor, and when it was made, in seconds since the epoch; None: there is
            none of this run.
    """

    config: JournalConfig
    writer: JournalWriter
    retention: Retention = field()
    announce: Callable[[Anchor], object] = field(default=lambda _: None)
    bytes: int = field(default=0, init=False)
    proven: tuple[Anchor, float] | None = field(default=None, init=False)
    _thread: OneThread = field(factory=lambda: OneThread("journal"), init=False)
    _stopping: threading.Event = field(factory=threading.Event, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)
    _anchorage: Anchorage | None = field(default=None, init=False)
    _anchored: int = field(default=0, init=False)
    _anchored_at: float = field(factory=time.monotonic, init=False)
    _segment: int = field(default=-1, init=False)
    _retention_due: float = field(default=0.0, init=False)

    @retention.default
    def _bounds(self) -> Retention:
        return Retention(self.config.max_bytes, self.config.max_age_seconds)

    def begin(self) -> None:
        """Start the thread, if the run has begun; else the writer does so when it begins."""
        self.writer.on_begin = self._start
        if self.writer.run is not None:
            self._start()

    def end(self, timeout: float) -> None:
        """Sync and anchor once more, and close the run, for *timeout* seconds at most."""
        self._stopping.set()
        thread = self._thread.thread
        if thread is None:
            self.writer.close()
        elif thread is not threading.current_thread():
            self._thread.join(timeout)

    def begin_anew_after_fork(self) -> None:
        """Forget the parent's thread, and its run."""
        self._thread = OneThread("journal")
        self._stopping = threading.Event()
        self._anchorage = self.proven = None
        self._anchored = 0
        self._segment = -1

    def _start(self) -> None:
        try:
            self._thread.start(self._run)  # again, where an exception struck in the middle
        except RuntimeError as error:
            self._tell("nothing syncs it", error)

    def _run(self) -> None:
        while not self._stopping.wait(self.config.sync_seconds):
            self.look()
        self.look(last=True)
        self.writer.close()

    def look(self, *, last: bool = False) -> None:
        """Do once what the thread does again and again; with *last*, what is done at the end."""
        writer = self.writer
        try:
            if last:
                writer.account_for_lost()
            if writer.unsynced_seconds:
                writer.sync_in_background()
            self._checkpoint(last=last)
            writer.prepare_spare()
            self._keep_bounds()
        except Exception as error:  # noqa: BLE001 - the next look may go better
            self._tell("upkeep", error)

    def _checkpoint(self, *, last: bool) -> None:
        synced = self.writer.synced
        new = synced.sequence - self._anchored
        due = time.monotonic() - self._anchored_at >= self.config.checkpoint_seconds
        # Its own announcement is an event too: that alone is no reason for the next one.
        if new < self.config.checkpoint_events and not (new > 1 and due) and not (last and new):
            return
        anchorage, run = self._anchorage, self.writer.run
        if run is None:
            return
        if anchorage is None or anchorage.run != run.id:
            anchorage = self._new_anchorage(run)
        self._anchored, self._anchored_at = synced.sequence, time.monotonic()
        anchor = anchorage.anchor(synced.sequence, synced.chain)
        self.proven = anchor, time.time()
        if not last:
            self.announce(anchor)

    def _new_anchorage(self, run: Run) -> Anchorage:
        key, file = None, self.config.anchor_key_file
        if file is not None:
            try:
                key = take_run_key(file, run.id)
            except (OSError, ValueError) as error:
                self._tell(f"anchors have no HMAC: {file}", error)
        self._anchorage = Anchorage.of(run.id, self.config.anchor_file, key)
        return self._anchorage

    def _keep_bounds(self) -> None:
        number = self.writer.segment_number
        if number == self._segment and time.monotonic() < self._retention_due:
            return
        self._segment, self._retention_due = number, time.monotonic() + _RETENTION_SECONDS
        self.bytes = self.retention.apply(self.writer.directory)

    def _tell(self, what: str, error: Exception) -> None:
        self._limited_log.warning(what, "journal %s: %s: %s", self.writer.directory, what, error)
