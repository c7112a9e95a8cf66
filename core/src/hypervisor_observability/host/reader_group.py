"""All readers of a process: the plugins with their workers, what feeds the metrics, and who
looks after them.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from ..config import Config
from ..delivery.counts import Counts
from ..delivery.metrics_feed import MetricsFeed
from ..delivery.worker import Worker
from ..metrics.families import MetricFamily
from ..text.limited_log import say
from .plugin import Plugin
from .readers import Reader, Surroundings
from .status import reader_status
from .supervisor import Supervisor
from .telemetry import DeliveryMetrics

METRICS = "metrics"
"""The name under which the internal reader that feeds the metrics is counted."""


@define(eq=False)
class ReaderGroup:
    """The readers of a process, which start and end together.

    Attributes:
        config: How long they get to end.
        feed: What feeds the metrics.
        readers: The plugins' readers, by name.
        workers: Those that deliver, once they were started; the feed's is the last.
    """

    config: Config
    feed: MetricsFeed
    readers: dict[str, Reader] = field(factory=dict)
    workers: tuple[Worker, ...] = field(default=(), init=False)
    _supervisor: Supervisor | None = field(default=None, init=False)

    def add(self, plugins: Iterable[Plugin], around: Surroundings) -> None:
        """Add a reader for each of *plugins*."""
        self.readers.update({plugin.name: Reader(plugin, around) for plugin in plugins})

    def start(self, write_status: Callable[[], None] | None) -> None:
        """Start the plugins; what delivers starts with ``ensure_running``.

        Args:
            write_status: Called each second; None: never.
        """
        for reader in self.readers.values():
            reader.start()
        self._take_workers(write_status)

    def _take_workers(self, write_status: Callable[[], None] | None) -> None:
        begun = [reader for reader in self.readers.values() if reader.begun]
        driven = [reader.worker for reader in begun if reader.worker is not None]
        self.workers = (*driven, self.feed.worker)
        self._supervisor = Supervisor(
            driven,
            min(
                (one.plugin.hook_timeout_seconds for one in self.readers.values()),
                default=self.config.delivery.hook_timeout_seconds,
            ),
            write_status,
        )

    def ensure_running(self) -> bool:
        """Start the threads unless they run; False if the system refuses one."""
        running = [worker.ensure_running() for worker in self.workers]
        if not all(running) or self._supervisor is None:
            return False
        try:
            self._supervisor.ensure_running()
            for reader in self.readers.values():
                reader.ensure_stoppable()
        except RuntimeError:
            return False
        return True

    def note_end(self, end: int) -> None:
        """Wake those for which a whole batch waits. Called by emitting threads."""
        for worker in self.workers:
            worker.note_end(end)

    def stop(self, deadline: float, timeout: float) -> bool:
        """Deliver what waits, and stop the plugins.

        Args:
            deadline: Until when, in monotonic seconds.
            timeout: How long that is, in seconds.

        Returns:
            Whether all ended in time.
        """
        if not self.workers:  # an exception has ended the start
            self._take_workers(None)
        for worker in self.workers:
            worker.begin_stop(deadline)
        # What exposes the metrics ends with all of them counted; that does not hang.
        ended = {METRICS: self.feed.worker.end_stop()}
        closing = {name: reader.stop_exposing() for name, reader in self.readers.items()}
        ended.update({worker.name: worker.end_stop() for worker in self.workers})
        for name, thread in closing.items():
            if thread is not None:
                ended[name] = thread.join(deadline - time.monotonic())
        late = [name for name, done in ended.items() if not done]
        if late:
            say(__name__, "warning", "not stopped within %g s: %s", timeout, ", ".join(late))
        return not late

    def note_stopped(self) -> None:
        """Write the status once more."""
        if self._supervisor is not None:
            self._supervisor.stop()

    def flush(self, target: Callable[[str], int], deadline: float) -> bool:
        """Deliver everything before *target*, a position for each reader's name.

        Args:
            target: Gives it.
            deadline: Until when, in monotonic seconds.

        Returns:
            True only if every plugin that runs has delivered all of it in time. A plugin
            that is down makes it False.
        """
        requests = [(worker, worker.begin_flush(target(worker.name))) for worker in self.workers]
        answers = [
            worker.end_flush(request, deadline - time.monotonic()) for worker, request in requests
        ]
        return all(answers) and not any(reader.down for reader in self.readers.values())

    # Asking

    def counts(self) -> dict[str, Counts]:
        """Give what became of the events, by plugin; ``metrics`` is the internal reader."""
        counts = {name: reader.account.counts() for name, reader in self.readers.items()}
        return {**counts, METRICS: self.feed.account.counts()}

    def states(self, state: str) -> dict[str, str]:
        """Give each plugin's state: *state*, that of the whole, or ``down: <why>``."""
        return {
            name: state if reader.down is None else f"down: {reader.down}"
            for name, reader in self.readers.items()
        }

    def status(self, state: str) -> dict[str, Any]:
        """Tell of all readers, in plain data."""
        counts = self.counts()
        return {
            "plugins": {
                name: reader_status(own_state, self.readers[name].worker, counts[name])
                for name, own_state in self.states(state).items()
            },
            METRICS: reader_status(state, self.feed.worker, counts[METRICS]),
        }

    def metrics(self, state: str) -> list[MetricFamily]:
        """Tell of all readers, as metrics."""
        metrics = DeliveryMetrics()
        for name, counts in self.counts().items():
            reader = self.readers.get(name)
            worker = self.feed.worker if reader is None else reader.worker
            # The last metrics that a job leaves behind are read when it has stopped.
            up = state != "new" and (reader is None or reader.down is None)
            metrics.add(name, counts, worker, up=up)
        return metrics.families()

    # A fork's child

    def begin_anew_after_fork(self) -> None:
        """Forget what the parent's process has. A child writes no status."""
        for reader in self.readers.values():
            reader.begin_anew_after_fork()
        self.feed.begin_anew_after_fork()
        self._take_workers(None)

    def start_exposing_after_fork(self) -> None:
        """Start the plugins without a worker in a fork's child."""
        for reader in self.readers.values():
            reader.start_exposing_after_fork()
