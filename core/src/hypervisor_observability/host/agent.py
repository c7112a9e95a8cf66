"""The agent: the plugins over a journal's directory, in a process of their own."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import define

from ..config import Config, absolute_path
from ..delivery.counts import Counts
from ..delivery.metrics_feed import MetricsFeed
from ..delivery.stream import Cursor, EventStream
from ..errors import ConfigError, ObservabilityError, StreamUnavailableError
from ..events.event import HypervisorEvent
from ..gate import Gate
from ..metrics.families import MetricFamily
from ..metrics.labels import LabelRules
from ..metrics.registry import MetricsRegistry
from ..release import RELEASE
from ..sources.followed_runs import FollowedRuns
from ..text.limited_log import LimitedLog
from .plugin import Plugin
from .plugins import load_plugins, take_instances
from .reader_group import METRICS, ReaderGroup
from .readers import Surroundings
from .status import write_status

CURSORS = "agent"
"""Folder of a journal's directory in which the agent's cursors are."""

_CATCH_UP_SECONDS = 60.0
_PATIENCE_SECONDS = 10.0
_AGAIN_SECONDS = 0.1
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class AgentRunningError(ObservabilityError):
    """Another agent reads the directory: it would deliver everything too."""


@define(eq=False)
class _FleetRegistry:
    """The registry, told from which run each batch stems, and which runs have ended."""

    registry: MetricsRegistry
    stream: FollowedRuns

    def observe(self, events: Sequence[HypervisorEvent]) -> None:
        # A batch may hold events of many runs, in their order; or a part of them, offered again.
        runs = {event.event_id: run for run, some in self.stream.in_flight for event in some}
        for run, some in groupby(events, lambda event: runs.get(event.event_id, "")):
            self.registry.observe(list(some), run=run)

    def collect(self) -> list[MetricFamily]:
        for run in self.registry.runs - self.stream.unfinished:
            self.registry.end_run(run)
        return self.registry.collect()

    def begin_anew(self) -> None:
        self.registry.begin_anew()


class JournalAgent:
    """Plugins that read what many processes journal. One may run for a directory.

    Args:
        config: What to run; its ``[journal]`` table is of no matter.
        directory: Of the journal.
        plugins: Further plugins, made by the caller.

    Raises:
        ConfigError: The configuration cannot be used; all its problems at once.
    """

    def __init__(self, config: Config, directory: Path, *, plugins: Iterable[object] = ()) -> None:
        self.config, self.directory = config, absolute_path(directory)
        loaded, problems = load_plugins(config)
        if problems:
            raise ConfigError(problems)
        loaded += take_instances(plugins, loaded, config.delivery)
        gate = Gate.of(config.redaction)
        self._admit = gate.admit
        self._limited_log = LimitedLog(__name__)
        self._streams: dict[str, FollowedRuns] = {}
        stream = self._stream(METRICS)
        rules = LabelRules(
            config.metrics.labels, config.metrics.max_series, config.metrics.max_ring
        )
        self._registry = MetricsRegistry(rules)
        self._registry.add_callback(self._telemetry)
        feed = MetricsFeed(
            stream,
            _FleetRegistry(self._registry, stream),
            cursor=stream,
            state=self._registry.state,
            interval_seconds=config.delivery.interval_seconds,
            admit=gate.admit,
        )
        around = Surroundings(
            service=config.service,
            stream_for=self._stream_for,
            feed=feed,
            admit=gate.admit,
            own_threads=set(),
            state_directory=config.state.directory,
            resumed=True,
        )
        self._group = ReaderGroup(config, feed)
        self._group.add(loaded, around)
        self._started_at = 0.0
        self._lock_descriptor = -1
        self._state = "new"

    def start(self) -> Self:
        """Start the plugins, and deliver what waits. One that cannot start is down.

        The metrics first catch up with what is journalled, so that no total that a backend
        has seen before falls back.

        Raises:
            AgentRunningError: Another one runs for this directory.
            StreamUnavailableError: It could not be told for ten seconds where to go on.
            OSError: The directory cannot be written: cursors could not be kept.
        """
        self._lock_descriptor = _lock(self.directory / CURSORS)
        feed = self._group.feed
        try:
            for stream in self._streams.values():
                self._patiently(stream.open)
            feed.worker.begin()
            self._patiently(self._restore)
            end = self._patiently(lambda: self._end_of(METRICS))
        except BaseException:
            os.close(self._lock_descriptor)
            raise
        self._state, self._started_at = "running", time.time()
        if not feed.worker.catch_up(end, _CATCH_UP_SECONDS):
            _logger.warning("the metrics are still behind the journal: totals may look reset")
        self._group.start(None if self.config.state.directory is None else self._write_status)
        self._group.ensure_running()
        return self

    def stop(self, timeout: float | None = None) -> bool:
        """Deliver what waits, save the cursors, stop the plugins; all within *timeout* seconds.

        Args:
            timeout: ``stop_timeout_seconds`` of the configuration where it is None.

        Returns:
            Whether every plugin ended in time.
        """
        if self._state != "running":
            return True
        self._state = "stopped"
        if timeout is None:
            timeout = self.config.stop_timeout_seconds
        in_time = self._group.stop(time.monotonic() + timeout, timeout)
        self._group.note_stopped()
        os.close(self._lock_descriptor)
        return in_time

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver everything journalled before this call.

        Args:
            timeout: Seconds, shared by all plugins.

        Returns:
            True only if every plugin has delivered all of it in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._group.flush(self._end_of, deadline)
            except StreamUnavailableError as error:
                self._limited_log.warning("flush", "flush waits: %s", error)
                if time.monotonic() >= deadline:
                    return False
                time.sleep(min(_AGAIN_SECONDS, max(0.0, deadline - time.monotonic())))

    def counts(self) -> dict[str, Counts]:
        """Give what became of the events, by plugin, since the agent was started."""
        return self._group.counts()

    @property
    def damaged(self) -> bool:
        """Whether a cursor or the journal was damaged where it read; the log says where."""
        return any(stream.damaged for stream in self._streams.values())

    def states(self) -> dict[str, str]:
        """Give each plugin's state: ``new``, ``running``, ``stopped`` or ``down: <why>``."""
        return self._group.states(self._state)

    def plugin(self, name: str) -> Any:
        """Give the plugin's own object.

        Raises:
            KeyError: No plugin of this name is on.
        """
        return self._group.readers[name].plugin.instance

    def status(self) -> dict[str, Any]:
        """Give what ``status.json`` holds: plain data, for JSON."""
        return {
            "service": self.config.service,
            "release": RELEASE,
            "started_at": self._started_at,
            "state": self._state,
            "emitted": self._group.feed.account.counts().emitted,
            "handler_errors": 0,
            "journal": {
                "directory": str(self.directory),
                "unfinished_runs": len(self._streams[METRICS].unfinished),
            },
            **self._group.status(self._state),
        }

    def collect_metrics(self) -> list[MetricFamily]:
        """Give all metrics, with what was journalled until now counted."""
        return self._group.feed.collect()

    # Inside

    def _stream(self, name: str) -> FollowedRuns:
        return self._streams.setdefault(
            name, FollowedRuns(name, self.directory, self.directory / CURSORS / f"{name}.json")
        )

    def _stream_for(self, plugin: Plugin) -> tuple[EventStream, Cursor | None]:
        stream = self._stream(plugin.name)
        stream.defers = plugin.replays
        return stream, stream

    def _end_of(self, name: str) -> int:
        return self._streams[name].bounds[1]

    def _patiently(self, action: Callable[[], Result]) -> Result:
        """Try *action* until what it reads can be read; give what it gives."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return action()
            except StreamUnavailableError as error:
                self._limited_log.warning("start", "the agent waits: %s", error)
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_SECONDS)

    def _restore(self) -> None:
        """Go on with the totals that were saved, and with what was delivered since."""
        stream = self._streams[METRICS]
        self._registry.begin_anew()
        if stream.state is not None:
            try:
                self._registry.restore(stream.state)
            except ValueError as error:
                _logger.warning("totals begin at zero: %s", error)
        for run, events in stream.since_state_by_run():
            self._registry.observe([self._admit(event) for event in events], run=run)

    def _write_status(self) -> None:
        directory = self.config.state.directory
        if directory is not None:
            write_status(directory, self.status())

    def _telemetry(self) -> list[MetricFamily]:
        return self._group.metrics(self._state)


def _lock(folder: Path) -> int:
    import fcntl  # as the journal, not for Windows

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise AgentRunningError(f"another agent reads {folder.parent} already") from None
        raise
    return descriptor
