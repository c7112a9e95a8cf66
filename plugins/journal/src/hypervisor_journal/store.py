"""The journal of a process: its run, what the plugins read of it, and what earlier runs left."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import asdict

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.metrics import journal_metrics
from hypervisor_journal.proof.anchors import Anchor
from hypervisor_journal.proof.key_files import check_key_file
from hypervisor_journal.reading.dead_runs import end_of
from hypervisor_journal.reading.description import ANCHOR_EVENT
from hypervisor_journal.runs.claims import Claims
from hypervisor_journal.runs.run_ledger import RunLedger
from hypervisor_journal.runs.runs import Run, run_names
from hypervisor_journal.streams.failed_reads import damage_teller
from hypervisor_journal.streams.journalled_log import JournalledLog
from hypervisor_journal.upkeep.upkeep import Upkeep
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import MetricFamily
from hypervisor_observability.errors import SettingError, StreamUnavailableError
from hypervisor_observability.stores import StoreContext
from hypervisor_observability.text.limited_log import LimitedLog

_PATIENCE_SECONDS = 0.25
"""Longest time for which a start waits for what cannot be read at the moment."""
_AGAIN_SECONDS = 0.02


class JournalStore:
    """Journals what a process emits.

    Args:
        config: The table.
        context: Of the process.

    Attributes:
        writer: Writes the run.
        record: Journals an event, then calls what it is given with it; the writer's ``append``.
        sync: Has the disk hold what was recorded; the writer's.

    Raises:
        SettingError: The file of its keys cannot be used.
    """

    def __init__(self, config: JournalConfig, context: StoreContext) -> None:
        if config.anchor_key_file is not None:
            try:
                check_key_file(config.anchor_key_file)
            except ValueError as error:
                raise SettingError("anchor_key_file", str(error)) from None
        self._context = context
        self.writer = JournalWriter(
            config.directory, segment_bytes=config.segment_bytes, admit=context.admit
        )
        self.record = self.writer.append
        self.sync = self.writer.sync
        self._upkeep = Upkeep(config=config, writer=self.writer, announce=self._announce)
        self._claims = Claims(config.directory)
        self._tell_damage = damage_teller(None)
        self._limited_log = LimitedLog(__name__)
        self._streams: list[JournalledLog] = []

    def stream_for(self, reader: str, *, defers: bool) -> JournalledLog:
        """Give what *reader* reads: what earlier runs have left for it, then this one.

        Args:
            reader: Name of the plugin.
            defers: Whether what it does not get is for the next process.
        """
        stream = self._stream(reader, defers=defers, goes_on=True)
        self._streams.append(stream)
        return stream

    def stream_behind_log(self, reader: str) -> JournalledLog:
        """Give what the reader *reader* reads that begins with this process, and ends with it."""
        return self._stream(reader, defers=False, goes_on=False)

    def _stream(self, reader: str, *, defers: bool, goes_on: bool) -> JournalledLog:
        directory = self.writer.directory if goes_on else None
        return JournalledLog(reader, self._context.log, self._run, defers, directory)

    def start(self, take_over: Callable[[], object]) -> None:
        """Begin the run, and look for what earlier ones have left.

        Args:
            take_over: Has the bus record through here. What it holds is journalled first: both
                count alike.
        """
        with contextlib.suppress(OSError):  # told by the writer, and tried again
            self.writer.open()
        self._claim_runs()
        for stream in self._streams:
            stream.begin()
        self.writer.take_over(self._context.log, take_over)
        self._upkeep.begin()

    def stop(self, timeout: float) -> None:
        """Close the run, for *timeout* seconds at most."""
        self._upkeep.end(timeout)
        self._claims.close()

    def begin_anew_after_fork(self) -> None:
        """Leave the earlier runs to the parent; the writer has begun anew by itself."""
        self._upkeep.begin_anew_after_fork()
        self._claims.close()

    def status(self) -> dict[str, Any]:
        """Tell of it, in plain data."""
        run, proven = self._run(), self._upkeep.proven
        return {
            "run": None if run is None else run.path.name,
            "directory": str(self.writer.directory),
            "events": self.writer.next_sequence,
            "degraded": self.writer.degraded,
            "lost": self.writer.lost,
            "bytes": self._upkeep.bytes,
            "unsynced_seconds": self.writer.unsynced_seconds,
            "proven_events": 0 if proven is None else proven[0].sequence,
            "proven_at": None if proven is None else proven[1],
        }

    def metrics(self) -> list[MetricFamily]:
        """Tell of it, as metrics."""
        proven = self._upkeep.proven
        return journal_metrics(
            degraded=self.writer.degraded,
            lost=self.writer.lost,
            size=self._upkeep.bytes,
            unsynced_seconds=self.writer.unsynced_seconds,
            proven_at=None if proven is None else proven[1],
        )

    def _run(self) -> Run | None:
        return self.writer.run

    def _announce(self, anchor: Anchor) -> None:
        self._context.announce(ANCHOR_EVENT, asdict(anchor))

    def note_clock_step(self, step_seconds: float) -> None:
        """Write that the wall clock was stepped."""
        self.writer.note(kind="clock_stepped", step_seconds=step_seconds)

    def _claim_runs(self) -> None:
        """Claim what earlier runs have left for anybody, the oldest first.

        What cannot be looked at now is left to the next process. Nothing is lost by that.
        """
        patience = time.monotonic() + _PATIENCE_SECONDS
        directory, ledger = self.writer.directory, RunLedger(self.writer.directory)
        wanted: set[str] = set()

        def look() -> None:
            names = run_names(directory)
            ledger.look()
            for stream in self._streams:
                wanted.update(stream.rests.undelivered(names))

        if not self._patiently(look, patience):
            return
        if self.writer.run is not None:
            wanted.discard(self.writer.run.path.name)
        for name in sorted(wanted):
            self._patiently(partial(self._claim, Run(directory / name), ledger), patience)

    def _patiently(self, action: Callable[[], None], until: float) -> bool:
        """Try *action* until a moment; tell whether it was done."""
        while True:
            try:
                action()
            except (FileNotFoundError, NotADirectoryError):  # none, or the bounds removed it
                return True
            except (OSError, StreamUnavailableError) as error:
                if time.monotonic() >= until:
                    what = "earlier runs are left to the next process"
                    self._limited_log.warning(
                        "left", "journal %s: %s: %s", self.writer.directory, what, error
                    )
                    return False
                time.sleep(_AGAIN_SECONDS)
            else:
                return True

    def _claim(self, run: Run, ledger: RunLedger) -> None:
        """Claim *run*, if it is dead and has something left, and give it to the streams.

        Raises:
            OSError: It cannot be looked at; nobody has it.
            StreamUnavailableError: Likewise.
        """
        if run.is_written() or not self._claims.take(run.path):
            return
        wants = False
        try:
            end = end_of(run, ledger, self._tell_damage)
            saved = [stream.rests.saved_in(run) for stream in self._streams]
            for stream, one in zip(self._streams, saved, strict=True):
                skipped = stream.rests.add(run, one, end, replays=stream.replays)
                wants = wants or skipped is None
                stream.skipped += skipped or 0
        finally:
            if not wants:
                self._claims.release(run.path)
