"""The journal of a process: its run, what the plugins read of it, and what earlier runs left."""

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from .config import JournalConfig
from .errors import ConfigError, ConfigProblem
from .event_bus import HypervisorEventBus
from .event_types import EventType
from .events import HypervisorEvent
from .journal.anchors import Anchor, check_key_file
from .journal.reader import RunReader
from .journal.retention import Retention
from .journal.runs import Run, runs_of
from .journal.upkeep import Upkeep
from .journal.writer import JournalWriter
from .metrics.families import MetricFamily
from .sources.journalled_log import JournalledLog
from .telemetry import journal_metrics

CHECKPOINT = EventType.of("observability.checkpoint")
"""An anchor on its way through the plugins: whoever keeps it elsewhere can prove the journal."""

_logger = logging.getLogger(__name__)


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
        self._claims: list[int] = []
        self._sources: list[JournalledLog] = []

    def source_for(self, name: str, *, defers: bool) -> JournalledLog:
        """Give what the plugin *name* reads.

        Args:
            name: Of the plugin.
            defers: Whether what it does not get is for the next process.
        """
        source = JournalledLog(name, self._bus.log, self._run, defers)
        self._sources.append(source)
        return source

    def source_behind_log(self, name: str) -> JournalledLog:
        """Give what the reader *name* reads that begins with this process, and ends with it."""
        return JournalledLog(name, self._bus.log, self._run, defers=False)

    def start(self) -> None:
        """Begin the run, and look for what earlier ones have left."""
        with contextlib.suppress(OSError):  # told by the writer, and tried again
            self.writer.open()
        try:
            claimed = self._claim_runs()
        except OSError as error:
            _logger.warning("journal %s: earlier runs are left: %s", self.writer.directory, error)
            claimed = []
        for source in self._sources:
            source.recover([(reader, end) for reader, end, _ in claimed])
        self._keep_claims(claimed)
        self._take_over()
        self._upkeep.begin()

    def stop(self, timeout: float) -> None:
        """Close the run, for *timeout* seconds at most."""
        self._upkeep.end(timeout)
        self._release()

    def begin_anew_after_fork(self) -> None:
        """Leave the earlier runs to the parent; the writer has begun anew by itself."""
        self._upkeep.begin_anew_after_fork()
        self._release()

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

    def _take_over(self) -> None:
        """Journal from now on, and first what the bus holds: both count alike."""
        record, sync = self.writer.append, self.writer.sync
        self.writer.take_over(self._bus.log, lambda: self._bus.record_through(record, sync))

    def _claim_runs(self) -> list[tuple[RunReader, int, int]]:
        """Hold the runs whose processes have died, find their ends, and how they are held."""
        own, claimed = self.writer.run, []
        for run in runs_of(self.writer.directory):
            if run == own:
                continue
            descriptor = run.claim()
            if descriptor is None:
                continue
            reader = RunReader(run)
            end = run.known_end()
            if end is None:
                end = reader.bounds[1]
                run.note_end(end)
            claimed.append((reader, end, descriptor))
        return claimed

    def _keep_claims(self, claimed: Sequence[tuple[RunReader, int, int]]) -> None:
        """Let go of runs that have nothing left for anybody."""
        wanted = {run for source in self._sources for run in source.earlier_runs}
        for reader, _, descriptor in claimed:
            if reader.run in wanted:
                self._claims.append(descriptor)
            else:
                os.close(descriptor)

    def _release(self) -> None:
        for descriptor in self._claims:
            os.close(descriptor)
        self._claims.clear()
