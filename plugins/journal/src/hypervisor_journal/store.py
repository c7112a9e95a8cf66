"""The journal of a process: its run, what the plugins read of it, and what earlier runs left."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..config import JournalConfig
from ..errors import ConfigError, ConfigProblem, StreamUnavailableError
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..journal.anchors import Anchor, check_key_file
from ..journal.claims import Claims
from ..journal.dead_runs import end_of
from ..journal.retention import Retention
from ..journal.run_ledger import RunLedger
from ..journal.runs import Run, run_names
from ..journal.upkeep import Upkeep
from ..journal.writer import JournalWriter
from ..metrics.families import MetricFamily
from ..sources.failed_reads import damage_teller
from ..sources.journalled_log import JournalledLog
from ..text.limited_log import LimitedLog
from .telemetry import journal_metrics

CHECKPOINT = EventType.of("observability.checkpoint")
"""An anchor on its way through the plugins: whoever keeps it elsewhere can prove the journal."""

_PATIENCE_SECONDS = 0.25
"""Longest time for which a start waits for what cannot be read at the moment."""
_AGAIN_SECONDS = 0.02


class ProcessJournal:
    """Journals what a bus is given.

    Args:
        config: The table.
        bus: Whose events.
        admit: Takes from an event what may not be written.

    Raises:
        ConfigError: The file of its keys cannot be used.
    """

    def __init__(
        self,
        config: JournalConfig,
        bus: HypervisorEventBus,
        admit: Callable[[HypervisorEvent], HypervisorEvent],
    ) -> None:
        if config.anchor_key_file is not None:
            try:
                check_key_file(config.anchor_key_file)
            except ValueError as error:
                key = "journal.anchor_key_file"
                problem = ConfigProblem("Config(...)", None, key, str(error))
                raise ConfigError([problem]) from None
        self._bus = bus
        self.writer = JournalWriter(
            config.directory, segment_bytes=config.segment_bytes, admit=admit
        )
        self._upkeep = Upkeep(
            writer=self.writer,
            sync_seconds=config.sync_seconds,
            retention=Retention(config.max_bytes, config.max_age_seconds),
            anchor_file=config.anchor_file,
            key_file=config.anchor_key_file,
            checkpoint_events=config.checkpoint_events,
            checkpoint_seconds=config.checkpoint_seconds,
            announce=self._announce,
        )
        self._claims = Claims(config.directory)
        self._tell_damage = damage_teller(None)
        self._limited_log = LimitedLog(__name__)
        self._streams: list[JournalledLog] = []

    def stream_for(self, name: str, *, defers: bool) -> JournalledLog:
        """Give what the plugin *name* reads.

        Args:
            name: Of the plugin.
            defers: Whether what it does not get is for the next process.
        """
        stream = JournalledLog(name, self._bus.log, self._run, defers, self.writer.directory)
        self._streams.append(stream)
        return stream

    def stream_behind_log(self, name: str) -> JournalledLog:
        """Give what the reader *name* reads that begins with this process, and ends with it."""
        return JournalledLog(name, self._bus.log, self._run, defers=False)

    def start(self) -> None:
        """Begin the run, and look for what earlier ones have left."""
        with contextlib.suppress(OSError):  # told by the writer, and tried again
            self.writer.open()
        self._claim_runs()
        for stream in self._streams:
            stream.begin()
        self._take_over()
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
        run = self._run()
        return {
            "run": None if run is None else run.path.name,
            "degraded": self.writer.degraded,
            "lost": self.writer.lost,
            "bytes": self._upkeep.bytes,
            "unsynced_seconds": self.writer.unsynced_seconds,
        }

    def metrics(self) -> list[MetricFamily]:
        """Tell of it, as metrics."""
        return journal_metrics(
            degraded=self.writer.degraded,
            lost=self.writer.lost,
            size=self._upkeep.bytes,
            unsynced_seconds=self.writer.unsynced_seconds,
        )

    def _run(self) -> Run | None:
        return self.writer.run

    def _announce(self, anchor: Anchor) -> None:
        self._bus.record(
            CHECKPOINT,
            payload={
                "run": anchor.run,
                "sequence": anchor.sequence,
                "chain": anchor.chain,
                "number": anchor.number,
                "key_number": anchor.key_number,
                "mac": anchor.mac,
            },
        )

    def _note_clock_step(self, step_seconds: float) -> None:
        self.writer.note(kind="clock_stepped", step_seconds=step_seconds)

    def _take_over(self) -> None:
        """Journal from now on, and first what the bus holds: both count alike."""

        def switch() -> None:
            self._bus.on_clock_step(self._note_clock_step)
            self._bus.record_through(self.writer.append, self.writer.sync)

        self.writer.take_over(self._bus.log, switch)

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
            except FileNotFoundError:  # the bounds of the directory
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
                skipped = stream.rests.add(run, one, end, replays=stream.defers)
                wants = wants or skipped is None
                stream.skipped += skipped or 0
        finally:
            if not wants:
                self._claims.release(run.path)
