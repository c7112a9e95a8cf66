"""The store of a process, as its host sees it: whatever it does, the bus goes on.

A store that cannot be opened, or that raises where it should not, is told and counted; the readers
then read the log in memory.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import define, field

from ..bus.event_bus import HypervisorEventBus
from ..bus.log import EventLog, Reading
from ..bus.stream import Cursor, EventStream
from ..errors import SettingError, StreamUnavailableError
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..metrics.families import MetricFamily
from ..stores import ReaderStream, Store, StoreContext
from ..text.error_text import line_of
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from .plugin import Plugin

Result = TypeVar("Result")


@define(eq=False)
class KeptEvents:
    """A store with the bus whose events it keeps.

    Attributes:
        plugin: Whose store it is.
        bus: The bus.
        store: None where it could not be had.
        down: Why nothing is kept; None if it is, or has not begun.
    """

    plugin: Plugin
    bus: HypervisorEventBus
    store: Store | None = None
    down: str | None = None
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def open(
        self, service: str, admit: Callable[[HypervisorEvent], HypervisorEvent]
    ) -> SettingError | None:
        """Have the plugin give its store.

        Returns:
            What is wrong with its table.
        """
        context = StoreContext(
            name=self.plugin.name,
            service=service,
            logger=logging.getLogger(f"{__package__}.plugin.{self.plugin.name}"),
            log=self.bus.log,
            admit=admit,
            announce=self._announce,
        )
        try:
            self.store = self.plugin.ask("open_store", context=context)
        except SettingError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a store's fault stays its own
            self._failed("cannot be opened", error)
            self.down = line_of(error)
        return None

    def stream_for(self, reader: str, *, defers: bool) -> tuple[EventStream, Cursor | None]:
        """Give what *reader* reads, and how far it is; the log alone where there is no store."""
        if self.store is not None:
            try:
                stream = self.store.stream_for(reader, defers=defers)
                kept = KeptStream(stream, self.bus.log, self)
            except Exception as error:  # noqa: BLE001 - a store's fault stays its own
                self._failed(f"gives no stream for {reader}", error)
            else:
                return kept, kept
        return self.bus.log, None

    def stream_behind_log(self, reader: str) -> EventStream:
        """Give the events of this process."""
        if self.store is not None:
            try:
                return self.store.stream_behind_log(reader)
            except Exception as error:  # noqa: BLE001 - a store's fault stays its own
                self._failed(f"gives no stream for {reader}", error)
        return self.bus.log

    def start(self) -> None:
        """Begin to keep; where that fails, the bus works in memory."""
        if self.store is None:
            return
        try:
            self.store.start(partial(self.bus.record_through, self.store.record, self.store.sync))
            self.bus.on_clock_step(self.store.note_clock_step)
        except Exception as error:  # noqa: BLE001 - a store's fault stays its own
            self._failed("cannot begin: events are in memory alone", error)
            self.down = line_of(error)

    def stop(self, timeout: float) -> None:
        """End it, within *timeout* seconds as far as it keeps to them."""
        self._quietly("cannot end", lambda store: store.stop(timeout), None)

    def begin_anew_after_fork(self) -> None:
        """Have a fork's child keep its events apart."""
        self._quietly("cannot begin anew", lambda store: store.begin_anew_after_fork(), None)

    def status(self) -> dict[str, Any]:
        """Tell of it, in plain data."""
        nothing: dict[str, Any] = {}
        told = self._quietly("tells no status", lambda store: dict(store.status()), nothing)
        state = "running" if self.down is None else f"down: {self.down}"
        own = {"name": self.plugin.name, "state": state, "errors": self.bus.record_errors}
        return {**told, **own, "degraded": bool(told.get("degraded") or self.down)}

    def metrics(self) -> list[MetricFamily]:
        """Tell of it, as metrics."""
        return self._quietly("gives no metrics", lambda store: list(store.metrics()), [])

    def _quietly(self, what: str, work: Callable[[Store], Result], otherwise: Result) -> Result:
        if self.store is None:
            return otherwise
        try:
            return work(self.store)
        except Exception as error:  # noqa: BLE001 - a store's fault stays its own
            self._failed(what, error)
            return otherwise

    def _failed(self, what: str, error: Exception) -> None:
        if is_from_handler(error):
            raise error
        name = self.plugin.name
        self._limited_log.warning(what, "store %s %s: %s", name, what, line_of(error), error=error)

    def _announce(self, event_type: str, payload: Mapping[str, Any]) -> None:
        self.bus.record(EventType.of(event_type), payload=payload)


@define(eq=False)
class KeptStream:
    """A reader's stream from the store, or from the log in memory if the store could not begin.

    What the store raises that it should not means the same as what it may raise: not at present.
    """

    _stream: ReaderStream
    _log: EventLog
    _kept: KeptEvents

    @property
    def start(self) -> int:
        """Where this process begins to read."""
        return 0 if self._kept.down else self._stream.start

    @property
    def skipped(self) -> int:
        """Events before that no one will read."""
        return 0 if self._kept.down else self._stream.skipped

    @property
    def defers(self) -> bool:
        """Whether the next process reads what this one leaves."""
        return not self._kept.down and self._stream.defers

    @property
    def state(self) -> Mapping[str, Any] | None:
        """What was saved along with the position."""
        return None if self._kept.down else self._asked(lambda: self._stream.state)

    def since_state(self) -> Iterator[Sequence[HypervisorEvent]]:
        """Give what came between that and the position."""
        events = iter(() if self._kept.down else self._asked(self._stream.since_state))
        while (some := self._asked(lambda: next(events, None))) is not None:
            yield some

    @property
    def bounds(self) -> tuple[int, int]:
        """Positions of the oldest event that can be read, and of the next one to come."""
        return self._log.bounds if self._kept.down else self._asked(lambda: self._stream.bounds)

    def read(self, position: int, max_events: int) -> Reading:
        """Read on.

        Raises:
            StreamUnavailableError: It cannot be read at present.
        """
        if self._kept.down:
            return self._log.read(max(0, position), max_events)
        return self._asked(lambda: self._stream.read(position, max_events))

    def commit(
        self, position: int, state: Callable[[], Mapping[str, Any] | None], *, last: bool
    ) -> None:
        """Save how far the reader is."""
        if not self._kept.down:
            self._kept._quietly(
                "cannot save a position",
                lambda _: self._stream.commit(position, state, last=last),
                None,
            )

    def begin_anew_after_fork(self) -> None:
        """Begin at 0, in a fork's child."""
        self._stream.begin_anew_after_fork()

    def _asked(self, ask: Callable[[], Result]) -> Result:
        try:
            return ask()
        except StreamUnavailableError:
            raise
        except Exception as error:
            if is_from_handler(error):
                raise
            raise StreamUnavailableError(f"store {self._kept.plugin.name}", error) from error
