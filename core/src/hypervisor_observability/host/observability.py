"""Observability: from a configuration to running workers, and back down in order."""

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..bus.event_bus import HypervisorEventBus
from ..bus.stream import Cursor, EventStream
from ..bus.subscribers import Subscription
from ..causality.propagation import Propagator
from ..config import Config, disabled
from ..config.plugin_tables import DEFAULT_INTERVAL_SECONDS
from ..delivery.metrics_feed import MetricsFeed
from ..delivery.parts import Parts
from ..delivery.repeats import WatchedStream
from ..errors import ConfigError
from ..events.event import HypervisorEvent
from ..metrics.families import MetricFamily
from ..metrics.governance import GovernanceMetrics
from ..recorder import Recorder
from ..recorder.keyed import let_go
from ..recorder.place import baggage_here
from ..threads.forks import Forked
from ..threads.interruptions import is_at_work
from .exits import ExitHandlers
from .host import Host
from .internal_events import InternalEvents
from .kept_events import KeptEvents
from .loading import loaded_parts, setting_problem, usable_config
from .plugin import Plugin
from .reader_group import METRICS
from .strictness import strictness_of
from .telemetry import process_metrics


class Observability(Host):
    """A bus, and plugins that read it.

    Nothing starts before ``start`` (or ``with``), and no thread before the first event,
    but for a server that a plugin runs itself.

    Args:
        config: What to run; the defaults where nothing is given.
        plugins: Further plugins, made by the caller, beside those that *config* names. Each
            is called by its attribute ``name``, else by its class.
        strict: Whether what is recorded is checked at once; see ``Config.strict``, which holds
            where this is None.

    Attributes:
        bus: The event bus.
        recorder: Writes events, so that you need not write them by hand.
        governance: Records decisions, and reads gauges from callbacks.
        propagator: Carries causal ids to and from other processes.

    Raises:
        ConfigError: The configuration cannot be used. The error lists all its problems.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        plugins: Iterable[object] = (),
        strict: bool | None = None,
    ) -> None:
        super().__init__(Config() if config is None else config)
        config = self.config
        self.bus = HypervisorEventBus(config.bus.max_events, max_bytes=config.bus.max_bytes)
        propagation = config.propagation
        strictness = strictness_of(config, strict)
        self.recorder = Recorder(
            self.bus,
            id_width=propagation.id_width,
            opentelemetry=propagation.opentelemetry,
            watch=None if strictness is None else strictness.watch,
        )
        if strictness is not None:
            self.bus.subscribe(None, strictness.check)
        self.governance = GovernanceMetrics(self.bus, counting=False, rules=self._rules)
        self.propagator = Propagator(
            propagation.accept,
            propagation.id_width,
            propagation.baggage,
            baggage_here=baggage_here,
        )
        self._disabled = disabled(os.environ)
        self._kept: KeptEvents | None = None
        readers: list[Plugin] = []
        if not self._disabled:
            parts = loaded_parts(config, plugins)
            readers, self._store = parts.readers, parts.store
            self._sources.add(parts.sources, config.service, self.recorder)
            if self._store is not None:
                self._kept = KeptEvents(self._store, self.bus)
                wrong = self._kept.open(config.service, self._gate.admit)
                if wrong is not None:
                    raise ConfigError([setting_problem(self._store, config, wrong)])
        self._registry.add_callback(self.governance.gauges)
        self._watched = WatchedStream(
            self.bus.log if self._kept is None else self._kept.stream_behind_log(METRICS)
        )
        feed = MetricsFeed(
            self._watched,
            self._registry,
            interval_seconds=config.delivery.interval_seconds or DEFAULT_INTERVAL_SECONDS,
            admit=self._gate.admit,
        )
        self._internal = InternalEvents()
        self._take_readers(readers, feed, self._stream_for, resumed=False)
        self._first_event: Subscription | None = None
        self._exits = ExitHandlers(self.stop)
        self._in_child = False
        self._lock = threading.RLock()  # a signal handler may call stop() within stop()
        self._stopping: threading.Thread | None = None
        _running.add(self)

    @classmethod
    def from_config(cls, path: str | os.PathLike[str]) -> Self:
        """Read a TOML file and make everything that it names. Starts nothing.

        Raises:
            ConfigError: The file, or a plugin's table in it, has problems. It lists them all.
        """
        return cls(usable_config(Path(path)))

    # Life cycle

    def start(self) -> Self:
        """Start the plugins. One that cannot start is down; the others run.

        Raises:
            RuntimeError: It was started before.
        """
        self._start_plugins()
        self._watch_exits()
        return self

    def _start_plugins(self) -> None:
        with self._lock:
            if self._state != "new":
                raise RuntimeError(f"this Observability is {self._state}: make a new one")
            self._state = "running"
        self._started_at = time.time()
        if self._kept is not None:
            self._kept.start()
        self._group.start(self._writes_status)
        if not self._disabled:
            self.bus.keep_apart(self._own_threads, self._internal.keep)
            self.bus.log.on_drain(self._group.note_end)
            self._first_event = self.bus.subscribe(None, self._start_workers)
            if self.bus.emitted:
                self._start_workers()
        self._sources.start()

    def _watch_exits(self) -> None:
        # In the thread that begins: only the main one may set handlers of signals.
        if not self._disabled:
            self._exits.install(sigterm=self.config.handle_sigterm)

    def stop(self, timeout: float | None = None) -> bool:
        """Deliver what waits, then stop the plugins; all within *timeout* seconds.

        One that an exception ends (Ctrl-C) is ended by the next call, or by the process's end.

        Args:
            timeout: ``stop_timeout_seconds`` of the configuration where it is None.

        Returns:
            Whether every plugin ended in time. What it had not delivered is in ``counts``.
        """
        with self._lock:
            left = self._stopping is threading.current_thread() and not is_at_work(
                _STOPPING, self, outside=1
            )
            if self._state != "running" and not left:
                self._state = "stopped"
                return True
            self._stopping = threading.current_thread()
            self._state = "stopped"
        return self._stop(timeout)

    def _stop(self, timeout: float | None) -> bool:
        if self._first_event is not None:
            self._first_event.cancel()
        in_time = self._end(timeout, self._close_store)
        let_go(self.recorder)
        self._exits.remove()
        self._stopping = None
        return in_time

    def _close_store(self, deadline: float) -> bool:
        return self._kept is None or self._kept.stop_by(deadline)

    async def astop(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as stop
        """Do what ``stop`` does without holding up the event loop."""
        try:
            return await asyncio.to_thread(self.stop, timeout)
        finally:
            self._exits.remove()  # the rest of it: the main thread alone sets handlers of signals

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._start_plugins)
        finally:
            self._watch_exits()  # also of a start that goes on although its task was cancelled
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.astop()

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
        return self._group.flush(lambda _: target, deadline)

    async def aflush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - as flush
        """Do what ``flush`` does without holding up the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    # Asking

    @property
    def internal_events(self) -> list[HypervisorEvent]:
        """The newest events that plugins' own threads emitted: they are fed to no plugin."""
        return self._internal.newest()

    # Inside

    def _start_workers(self, _event: object = None) -> None:
        try:
            if self._kept is not None:
                self._kept.ensure_stoppable()
        except RuntimeError:  # the system refuses a thread: with the next event again
            return
        if not self._group.ensure_running():
            return
        if self._first_event is not None:
            self._first_event.cancel()
        if self._in_child:
            self._exits.install_in_child()
            self._group.start_exposing_after_fork()

    def _stream_for(self, plugin: Plugin) -> tuple[EventStream, Cursor | None, Parts | None]:
        if self._kept is None:
            return self.bus.log, None, None
        return *self._kept.stream_for(plugin.name, defers=plugin.replays), None

    def _own_status(self) -> Mapping[str, Any]:
        return {
            "emitted": self.bus.emitted,
            "handler_errors": self.bus.handler_errors,
            "store": None if self._kept is None else self._kept.status(self._state),
        }

    def _telemetry(self) -> list[MetricFamily]:
        process = process_metrics(
            capacity=self.bus.log.max_events,
            handler_errors=self.bus.handler_errors,
            refused=self.bus.refused,
            redacted=self._gate.redacted,
            gate_failures=self._gate.failed,
            internal_events=self._internal.count,
            payload_cuts=self.bus.log.cut_values,
            duplicate_events=self._watched.duplicates,
            conflicting_events=self._watched.conflicts,
            clock_steps=self.bus.clock_steps,
            record_errors=self.bus.record_errors,
        )
        families = [*super()._telemetry(), *process]
        return families if self._kept is None else families + self._kept.metrics(families)

    def _begin_anew_after_fork(self) -> None:
        self._lock = threading.RLock()
        self._own_threads.clear()
        self._in_child = True
        if self._state != "running":
            return
        if self._first_event is not None:
            self._first_event.cancel()
        if self._kept is not None:
            self._kept.begin_anew_after_fork()
        self._watched.begin_anew()
        self._group.begin_anew_after_fork()
        self._sources.begin_anew_after_fork()
        # Nothing runs in a child that does not emit.
        self._first_event = self.bus.subscribe(None, self._start_workers)


_STOPPING = frozenset({Observability._stop.__code__})
# Behind the logs, whose module was imported before.
_running = Forked(Observability._begin_anew_after_fork)
