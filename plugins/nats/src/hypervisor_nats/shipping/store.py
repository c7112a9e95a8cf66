"""The store of a process that emits: its journal, and a thread that sends it to the stream.

The journal does not know of the stream: recording an event costs the same without one.
"""

import time
from collections.abc import Callable
from typing import Any

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.store import JournalStore
from hypervisor_nats.config import NatsConfig
from hypervisor_nats.shipping.metrics import shipping_metrics
from hypervisor_nats.shipping.shipping import Shipping
from hypervisor_observability import MetricFamily
from hypervisor_observability.stores import ReaderStream, StoreContext


class ShippedJournal:
    """Journals what a process emits, and sends it.

    Args:
        config: The table.
        journal: The table of the journal in it.
        context: Of the process.

    Attributes:
        journal: The journal.
        record: The journal's.
        sync: The journal's.
        note_clock_step: The journal's.

    Raises:
        SettingError: The file of the journal's keys cannot be used.
    """

    def __init__(self, config: NatsConfig, journal: JournalConfig, context: StoreContext) -> None:
        self.journal = JournalStore(journal, context)
        self.record = self.journal.record
        self.sync = self.journal.sync
        self.note_clock_step = self.journal.note_clock_step
        self._shipping = Shipping(journal.directory, config, context.service)

    def stream_for(self, reader: str, *, defers: bool) -> ReaderStream:
        """Give what *reader* reads: that of the journal."""
        return self.journal.stream_for(reader, defers=defers)

    def stream_behind_log(self, reader: str) -> ReaderStream:
        """Give the events of this process."""
        return self.journal.stream_behind_log(reader)

    def start(self, take_over: Callable[[], object]) -> None:
        """Begin the run, and start to send."""
        self.journal.start(take_over)
        self._shipping.start()
        self._start_with_run()

    def _start_with_run(self) -> None:
        """Start to send when the run begins: in a fork's child, with its first event."""
        writer = self.journal.writer
        begin = writer.on_begin

        def on_begin() -> None:
            if begin is not None:
                begin()
            self._shipping.start()

        writer.on_begin = on_begin

    def stop(self, timeout: float) -> None:
        """Close the run, and send what is left, for *timeout* seconds at most. The next process
        with this directory, or ``hvobs ship``, sends the rest.
        """
        until = time.monotonic() + timeout
        self.journal.stop(timeout)
        self._shipping.stop(max(0.0, until - time.monotonic()))

    def begin_anew_after_fork(self) -> None:
        """Leave the run and the shipping to the parent."""
        self._shipping.begin_anew_after_fork()
        self.journal.begin_anew_after_fork()

    def status(self) -> dict[str, Any]:
        """Return the state of both as plain data."""
        told = self.journal.status()
        run = told["run"]
        unshipped = 0 if run is None else self._shipping.waiting_of(run)
        return {**told, **self._shipping.standing.status(), "unshipped": unshipped}

    def metrics(self) -> list[MetricFamily]:
        """Return the metrics of both."""
        return [*self.journal.metrics(), *shipping_metrics(self._shipping.standing)]
