"""Observability: from a configuration to running workers, and back down in order."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import define, field

from . import clock
from .config import Config, DeliveryConfig, disabled, matches, read_config
from .delivery import accounts
from .delivery.accounts import Account, Counts
from .delivery.metrics_feed import MetricsFeed
from .delivery.worker import Worker, in_daemon_thread
from .errors import ConfigError
from .event_bus import HypervisorEventBus, Subscription
from .hookspecs import PluginContext
from .metrics.families import MetricFamily
from .metrics.governance import GovernanceMetrics
from .metrics.registry import MetricsRegistry
from .plugins import Plugin, checked, load_plugins
from .propagation import Propagator
from .recorder import Recorder

METRICS = "metrics"
"""The name under which the internal reader that feeds the metrics is counted."""

_logger = logging.getLogger(__name__)


@define(eq=False)
class _Running:
    """A plugin with what drives it."""

    plugin: Plugin
    account: Account
    worker: Worker | None
    down: str | None = field(default=None)


class Observability:
    """A bus, and plugins that read it.

    Nothing starts before ``start`` (or ``with``), and no thread before the first event,
    but for a server that a plugin runs itself.

    Args:
        config: What to run; the defaults where nothing is given.
        plugins: Further plugins, made by the caller, beside those that *config* names. Each
            is called by its attribute ``name``, else by its class.

    Attributes:
        bus: The event bus.
        recorder: Writes events so that nobody has to by hand.
        governance: Records decisions; asks gauges.
        propagator: Carries causal ids to and from other processes.

    Raises:
        ConfigError: The configuration cannot be used; all its problems at once.
    """

    def __init__(self, config: Config | None = None, *, plugins: Iterable[object] = ()) -> None:
        self.config = Config() if config is None else config
        self.bus = HypervisorEventBus(
            self.config.bus.max_events, max_bytes=self.config.bus.max_bytes
        )
        self.recorder = Recorder(self.bus)
        self.governance = GovernanceMetrics(self.bus, counting=False)
        self.propagator = Propagator()
        self._registry = MetricsRegistry()
        self._registry.add_callback(self.governance.gauges)
        self._feed = MetricsFeed(
            self.bus.log, self._registry, interval_seconds=self.config.delivery.interval_seconds
        )
        self._disabled = disabled(os.environ)
        loaded: list[Plugin] = []
        if not self._disabled:
            loaded, problems = load_plugins(self.config)
            if problems:
                raise ConfigError(problems)
            loaded += _made_by_caller(plugins, loaded, self.config.delivery)
        self._running = {plugin.name: self._prepare(plugin) for plugin in loaded}
        self._workers: tuple[Worker, ...] = ()
        self._first_event: Subscription | None = None
        self._lock = threading.RLock()  # a signal handler may call stop() within stop()
        self._state = "new"

    @classmethod
    def from_config(cls, path: str | os.PathLike[str]) -> Self:
        """Read a TOML file and make everything that it names. Starts nothing.

        Raises:
            ConfigError: All problems of the file, and of the plugins' tables in it.
        """
        config, problems = read_config(Path(path))
        if config is None:
            raise ConfigError(problems)
        if problems and not disabled(os.environ):
            problems = [*problems, *load_plugins(config)[1]]
        if problems:
            raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
        return cls(config)

    # Life cycle

    def start(self) -> Self:
        """Start the plugins. One that cannot start is down; the others run.

        Raises:
            RuntimeError: It was started before.
        """
        with self._lock:
            if self._state != "new":
                raise RuntimeError(f"this Observability is {self._state}: make a new one")
            self._state = "running"
        for running in self._running.values():
            self._start(running)
        driven = [one.worker for one in self._running.values() if one.worker and not one.down]
        self._workers = (*driven, self._feed.worker)
        if not self._disabled:
            self.bus.log.on_drain(self._note_end)
            self._first_event = self.bus.subscribe(None, self._start_workers)
            if self.bus.emitted:
                self._start_workers()
            atexit.register(self.stop)
        return self

    def stop(self, timeout: float | None = None) -> bool:
        """Deliver what waits, then stop the plugins; all within *timeout* seconds.

        Args:
            timeout: ``stop_timeout_seconds`` of the configuration where it is None.

        Returns:
            Whether every plugin ended in time. What it had not delivered is in ``counts``.
        """
        with self._lock:
            if self._state != "running":
                self._state = "stopped"
                return True
            self._state = "stopped"
        atexit.unregister(self.stop)
        if self._first_event is not None:
            self._first_event.cancel()
        if timeout is None:
            timeout = self.config.stop_timeout_seconds
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.begin_stop(deadline)
        ended = {worker.name: worker.end_stop() for worker in self._workers}
        for name, running in self._running.items():
            if running.worker is None and running.down is None:
                closing = in_daemon_thread(name, partial(_stop_quietly, running.plugin))
                closing.join(max(0.0, deadline - time.monotonic()))
                ended[name] = not closing.is_alive()
        late = [name for name, done in ended.items() if not done]
        if late:
            _logger.warning("not stopped within %g s: %s", timeout, ", ".join(late))
        return not late

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
        """Deliver everything emitted before this call.

        Args:
            timeout: Seconds, shared by all plugins.

        Returns:
            True only if every plugin that runs has delivered all of it in time. A plugin
            that is down makes it False.
        """
        deadline = time.monotonic() + timeout
        target = self.bus.emitted
        if self._state != "running":
            return target == 0
        requests = [(worker, worker.begin_flush(target)) for worker in self._workers]
        answers = [
            worker.end_flush(request, deadline - time.monotonic()) for worker, request in requests
        ]
        return all(answers) and not any(one.down for one in self._running.values())

    # Asking

    def counts(self) -> dict[str, Counts]:
        """Give what became of the events, by plugin; ``metrics`` is the internal reader."""
        counts = {name: running.account.counts() for name, running in self._running.items()}
        return {**counts, METRICS: self._feed.account.counts()}

    def states(self) -> dict[str, str]:
        """Give each plugin's state: ``new``, ``running``, ``stopped`` or ``down: <why>``."""
        return {
            name: self._state if running.down is None else f"down: {running.down}"
            for name, running in self._running.items()
        }

    def plugin(self, name: str) -> Any:
        """Give the plugin's own object.

        Raises:
            KeyError: No plugin of this name is on.
        """
        return self._running[name].plugin.instance

    def collect_metrics(self) -> list[MetricFamily]:
        """Give all metrics, with what was emitted until now counted."""
        return self._feed.collect()

    # Inside

    def _prepare(self, plugin: Plugin) -> _Running:
        if plugin.only_exposes:
            return _Running(plugin, self._feed.account, None)
        account = Account(self.bus.log)
        delivery = plugin.delivery
        worker = Worker(
            plugin.name,
            plugin,
            account,
            wanted=partial(matches, delivery.events) if delivery.events else None,
            max_batch_events=delivery.max_batch_events,
            interval_seconds=delivery.interval_seconds,
            metrics=self._feed,
            metrics_interval_seconds=delivery.metrics_interval_seconds,
        )
        return _Running(plugin, account, worker)

    def _start(self, running: _Running) -> None:
        plugin = running.plugin
        context = PluginContext(
            name=plugin.name,
            service=self.config.service,
            logger=logging.getLogger(f"{__package__}.plugin.{plugin.name}"),
            metrics=self._feed,
            clock=clock.now_ns,
        )
        try:
            plugin.start(context)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - its fault is its own: the others run
            running.down = f"{error}" or type(error).__name__
            running.account = Account(self.bus.log, closed=accounts.DOWN)
            _logger.error("plugin %s is down: %s", plugin.name, running.down)
            _stop_quietly(plugin)

    def _start_workers(self, _event: object = None) -> None:
        for worker in self._workers:
            worker.ensure_running()
        if self._first_event is not None:
            self._first_event.cancel()

    def _note_end(self, end: int) -> None:
        for worker in self._workers:
            worker.note_end(end)


def _made_by_caller(
    instances: Iterable[object], loaded: Iterable[Plugin], delivery: DeliveryConfig
) -> list[Plugin]:
    names = {plugin.name for plugin in loaded}
    plugins = []
    for instance in instances:
        base = getattr(instance, "name", None) or type(instance).__name__.lower()
        name, number = str(base), 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.add(name)
        plugins.append(checked(name, instance, delivery))
    return plugins


def _stop_quietly(plugin: Plugin) -> None:
    try:
        plugin.stop()
    except BaseException as error:  # even SystemExit: it is a plugin's
        _logger.debug("plugin %s: stop raised", plugin.name, exc_info=error)
