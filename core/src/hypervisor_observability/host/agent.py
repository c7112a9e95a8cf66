"""The agent: plugins over what many processes record, in a process of its own."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from ..bus.stream import Cursor, EventStream
from ..config import Config
from ..config.plugin_tables import DEFAULT_INTERVAL_SECONDS
from ..delivery.metrics_feed import MetricsFeed
from ..delivery.parts import Parts
from ..errors import ConfigError, ConfigProblem, SettingError, StreamUnavailableError
from ..metrics.families import MetricFamily
from ..metrics.registry import MetricsRegistry
from ..stores import FollowContext, FollowedStore, FollowedStream, SharedStream
from ..text.limited_log import LimitedLog
from .fleet_registry import FleetRegistry
from .host import Host
from .loading import loaded_parts, problem_of, setting_problem
from .plugin import Plugin
from .reader_group import METRICS
from .store_answers import plain_status, whole_families
from .store_faults import StoreFaults
from .store_parts import StorePartError, ask_store, is_shared, whole
from .store_streams import CheckedStream

_CATCH_UP_SECONDS = 60.0
_PATIENCE_SECONDS = 10.0
_AGAIN_SECONDS = 0.1
_QUIET_SECONDS = 1.0

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Agent(Host):
    """Plugins that read what many processes record in a store: one agent per store, or several for
    a store that is shared.

    Args:
        config: What to run; its store is followed, and written by others.
        plugins: Further plugins, made by the caller.

    Attributes:
        followed: What is read.

    Raises:
        ConfigError: The configuration cannot be used; all its problems at once. No store is on,
            or one that cannot be followed.
    """

    followed: FollowedStore
    _store: Plugin
    _role = "agent"

    def __init__(self, config: Config, *, plugins: Iterable[object] = ()) -> None:
        super().__init__(config)
        self._limited_log = LimitedLog(__name__)
        # Sources write in the processes that are followed; there is nothing to instrument here.
        parts = loaded_parts(config, plugins)
        self._store, self.followed = _follow(parts.store, config)
        self._faults = StoreFaults(self._store.name)
        self._streams: dict[str, CheckedStream] = {}
        stream = self._stream(METRICS, defers=True)
        self._fleet = FleetRegistry(
            stream,
            own=self._registry,
            make=lambda: MetricsRegistry(self._rules, prices=self._prices),
            admit=self._gate.admit,
        )
        feed = MetricsFeed(
            stream,
            self._fleet,
            cursor=stream,
            parts=stream,
            state=self._fleet.state,
            take_parts=self._fleet.take_parts,
            interval_seconds=config.delivery.interval_seconds or DEFAULT_INTERVAL_SECONDS,
            admit=self._gate.admit,
        )
        self._take_readers(parts.readers, feed, self._stream_for, resumed=True)

    def start(self) -> Self:
        """Start the plugins, and deliver what waits. One that cannot start is down.

        The metrics first catch up with what is recorded, so that no total that a backend
        has seen before falls back.

        Raises:
            StoreInUseError: Another agent reads this store.
            StreamUnavailableError: It could not be told for ten seconds where to go on.
            OSError: How far the readers are could not be kept.
        """
        self._patiently(self.followed.start)
        feed = self._group.feed
        try:
            for stream in self._streams.values():
                self._patiently(stream.open)
            feed.worker.begin()
            self._patiently(self._fleet.take_parts)
            end = self._end_at_start()
        except BaseException:
            self._let_go()
            raise
        self._state, self._started_at = "running", time.time()
        if not feed.worker.catch_up(end, _CATCH_UP_SECONDS):
            _logger.warning("the metrics are still behind the store: totals may look reset")
        self._group.start(self._writes_status)
        self._group.ensure_running()
        return self

    def stop(self, timeout: float | None = None) -> bool:
        """Deliver what waits, save how far the readers are, stop the plugins."""
        if self._state != "running":
            return True
        self._state = "stopped"
        return self._end(timeout, lambda _: self._let_go())

    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver everything recorded before this call."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._group.flush(self._end_of, deadline)
            except StreamUnavailableError as error:
                self._limited_log.warning("flush", "flush waits: %s", error)
                if time.monotonic() >= deadline:
                    return False
                time.sleep(min(_AGAIN_SECONDS, max(0.0, deadline - time.monotonic())))

    @property
    def damaged(self) -> bool:
        """Whether a cursor or the store was damaged where it read; the log says where."""
        return any(stream.damaged for stream in self._streams.values())

    # Inside

    def _let_go(self) -> bool:
        self._faults.quietly("cannot be let go of", self.followed.stop, None)
        return True

    def _stream(self, name: str, *, defers: bool) -> CheckedStream:
        given = self.followed.stream_for(name, defers=defers)
        shared = is_shared(given)
        whole(given, SharedStream if shared else FollowedStream, "the store")
        stream = self._streams[name] = CheckedStream(self._store.name, given, shared=shared)
        return stream

    def _stream_for(self, plugin: Plugin) -> tuple[EventStream, Cursor | None, Parts | None]:
        stream = self._stream(plugin.name, defers=plugin.replays)
        return stream, stream, stream

    def _end_at_start(self) -> int:
        """Give the position that the metrics must reach before a backend sees them."""
        stream = self._streams[METRICS]
        if stream.shared:  # other agents still expose the parts that they own
            return self._group.feed.account.end
        return self._patiently(lambda: self._end_of(METRICS))

    def _end_of(self, name: str) -> int:
        return self._streams[name].bounds[1]

    def _patiently(self, action: Callable[[], Result]) -> Result:
        """Try *action* until what it reads can be read; give what it gives."""
        begun = time.monotonic()
        while True:
            try:
                return action()
            except StreamUnavailableError as error:
                waited = time.monotonic() - begun
                if waited >= _QUIET_SECONDS:  # sharing parts out takes a moment
                    self._limited_log.warning("start", "the agent waits: %s", error)
                if waited >= _PATIENCE_SECONDS:
                    raise
                time.sleep(_AGAIN_SECONDS)

    def _own_status(self) -> Mapping[str, Any]:
        nothing: dict[str, Any] = {}
        unfinished: set[str] = self._faults.quietly(
            "tells of no runs", lambda: self._streams[METRICS].unfinished, set()
        )
        told = self._faults.quietly(
            "tells no status", lambda: plain_status(self.followed.status()), nothing
        )
        return {
            "emitted": self._group.feed.account.counts().emitted,
            "handler_errors": 0,
            "store": {
                **told,
                "name": self._store.name,
                "state": self._state,
                "unfinished_runs": len(unfinished),
                "errors": self._faults.count,
                **({"shared": True} if self._streams[METRICS].shared else {}),
            },
        }

    def _telemetry(self) -> list[MetricFamily]:
        families, nothing = super()._telemetry(), list[MetricFamily]()
        taken = {family.name for family in families}
        return families + self._faults.quietly(
            "gives no metrics", lambda: whole_families(self.followed.metrics(), taken), nothing
        )


def _follow(store: Plugin | None, config: Config) -> tuple[Plugin, FollowedStore]:
    """Have the store that is on followed.

    Raises:
        ConfigError: None is on, or one that cannot be followed.
    """
    if store is None:
        message = "no store is on: name one, such as [plugins.journal]; an agent reads it"
        raise ConfigError([ConfigProblem("the configuration", None, "plugins", message)])
    context = FollowContext(
        name=store.name,
        service=config.service,
        logger=logging.getLogger(f"{__package__}.plugin.{store.name}"),
    )
    try:
        followed = ask_store(store, "follow_store", context)
    except SettingError as error:
        raise ConfigError([setting_problem(store, config, error)]) from error
    except StorePartError as error:
        raise ConfigError([problem_of(store, config, str(error))]) from error
    if followed is None:
        message = "this store cannot be followed: it has no hook follow_store"
        raise ConfigError([problem_of(store, config, message)])
    return store, followed
