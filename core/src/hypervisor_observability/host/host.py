"""What every host of readers has: they start and end together, and somebody asks them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from ..causality.traceparent import widen_trace
from ..config import Config
from ..delivery.counts import Counts
from ..delivery.metrics_feed import MetricsFeed
from ..facts.prices import Prices
from ..gate import Gate
from ..metrics.families import MetricFamily
from ..metrics.labels import LabelRules
from ..metrics.registry import MetricsRegistry
from ..release import RELEASE
from ..text.limited_log import say
from ..threads.interruptions import is_of_application
from .missed import missed_events
from .plugin import Plugin
from .reader_group import METRICS, ReaderGroup
from .readers import StreamFor, Surroundings
from .sources.group import SourceGroup
from .status_files import StatusFile


class Host(ABC):
    """Readers over a store or a log, and the metrics of them all.

    Args:
        config: What to run.

    Attributes:
        config: What runs.
    """

    _group: ReaderGroup
    _role = "application"

    def __init__(self, config: Config) -> None:
        self.config = config
        metrics = config.metrics
        self._rules = LabelRules(metrics.labels, metrics.max_series, metrics.max_ring)
        self._gate = Gate.of(config.redaction)
        self._prices = Prices() if config.usage.estimate_cost else None
        self._registry = MetricsRegistry(self._rules, prices=self._prices)
        self._registry.add_callback(self._telemetry)
        self._own_threads: set[int] = set()
        self._store: Plugin | None = None
        self._sources = SourceGroup()
        self._started_at = 0.0
        self._state = "new"

    def _take_readers(
        self, readers: Iterable[Plugin], feed: MetricsFeed, stream_for: StreamFor, *, resumed: bool
    ) -> None:
        around = Surroundings(
            service=self.config.service,
            stream_for=stream_for,
            feed=feed,
            admit=self._gate.admit,
            own_threads=self._own_threads,
            state_directory=self.config.state.directory,
            prices=self._prices,
            resumed=resumed,
        )
        self._group = ReaderGroup(self.config, feed)
        self._group.add(readers, around)

    # Life cycle

    @abstractmethod
    def start(self) -> Self:
        """Start the plugins. One that cannot start is down; the others run."""

    @abstractmethod
    def stop(self, timeout: float | None = None) -> bool:
        """Deliver what waits, then stop the plugins; all within *timeout* seconds.

        Args:
            timeout: ``stop_timeout_seconds`` of the configuration where it is None.

        Returns:
            Whether every plugin ended in time. What it had not delivered is in ``counts``.
        """

    def _end(self, timeout: float | None, close: Callable[[float], bool]) -> bool:
        """Stop the readers, then *close* what they read, which gets the deadline in monotonic
        seconds, and tells whether it was in time.
        """
        if timeout is None:
            timeout = self.config.stop_timeout_seconds
        deadline = time.monotonic() + timeout
        in_time = self._sources.stop(deadline)
        in_time = self._group.stop(deadline, timeout) and in_time
        in_time = close(deadline) and in_time
        counts = self._group.counts()
        del counts[METRICS]
        missed = missed_events(counts, self._own_status())
        if missed:
            say(__name__, "warning", "%s", missed)
        self._group.note_stopped()
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

    @abstractmethod
    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver everything emitted before this call.

        Args:
            timeout: Seconds, shared by all plugins.

        Returns:
            True only if every plugin that runs has delivered all of it in time. A plugin
            that is down makes it False.
        """

    # Asking

    def counts(self) -> dict[str, Counts]:
        """Give what became of the events, by plugin; ``metrics`` is the internal reader."""
        return self._group.counts()

    def states(self) -> dict[str, str]:
        """Give each plugin's state: ``new``, ``running``, ``stopped`` or ``down: <why>``; of a
        source also ``waiting for <module>``.
        """
        return {**self._group.states(self._state), **self._sources.states()}

    def status(self) -> dict[str, Any]:
        """Give what this process writes into the state directory: plain data, for JSON."""
        return {
            "service": self.config.service,
            "role": self._role,
            "release": RELEASE,
            "started_at": self._started_at,
            "state": self._state,
            **self._own_status(),
            **self._group.status(self._state),
            "sources": self._sources.status(),
        }

    def plugin(self, name: str) -> Any:
        """Give the plugin's own object.

        Raises:
            KeyError: No plugin of this name is on.
        """
        if self._store is not None and self._store.name == name:
            return self._store.instance
        if name in self._sources.sources:
            return self._sources.sources[name].plugin.instance
        return self._group.readers[name].plugin.instance

    def trace_urls(self, trace: str) -> dict[str, str]:
        """Give where backends show a trace, by plugin: of those that can tell.

        Args:
            trace: Its id, as short or wide as it is.
        """
        return self._addresses("trace_url", trace=widen_trace(trace))

    def page_urls(self) -> dict[str, str]:
        """Give where plugins serve a page for people, by plugin: of those that do at present.

        An address may hold what lets a viewer in, such as a token.
        """
        return self._addresses("page_url")

    def collect_metrics(self) -> list[MetricFamily]:
        """Give all metrics, with what was emitted until now counted."""
        return self._group.feed.collect()

    # Inside

    def _addresses(self, hook: str, **arguments: str) -> dict[str, str]:
        urls = {}
        for name, reader in self._group.readers.items():
            try:
                url = reader.plugin.ask(hook, **arguments)
            except BaseException as error:
                if is_of_application(error):
                    raise
                say(__name__, "warning", "plugin %s: %s raised", name, hook, error=error)
                continue
            if url is not None:
                urls[name] = str(url)
        return urls

    @abstractmethod
    def _own_status(self) -> Mapping[str, Any]:
        """Give ``emitted``, ``handler_errors`` and ``store`` of the status."""

    def _telemetry(self) -> list[MetricFamily]:
        return [*self._group.metrics(self._state), *self._sources.metrics()]

    @property
    def _writes_status(self) -> Callable[[], None] | None:
        directory = self.config.state.directory
        if directory is None:
            return None
        file = StatusFile.of(directory)
        return lambda: file.write(self.status())
