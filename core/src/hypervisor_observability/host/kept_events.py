"""The store of a process, as its host sees it: whatever it does, the bus goes on.

A store that cannot be opened, or that raises where it should not, is told and counted; the readers
then read the log in memory.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from attrs import define, field

from ..bus.event_bus import HypervisorEventBus
from ..bus.stream import Cursor, EventStream
from ..errors import SettingError
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..metrics.families import MetricFamily
from ..stores import ReaderStream, Store, StoreContext
from ..text.error_text import line_of
from ..threads.interruptions import is_of_application
from ..threads.one_thread import OneThread
from .kept_stream import KeptStream
from .plugin import Plugin
from .store_answers import plain_status, whole_families
from .store_faults import StoreFaults
from .store_parts import StorePartError, ask_store, whole

Result = TypeVar("Result")

_LEAST_CLOSE_SECONDS = 0.2
"""Time that a store gets to close, however late it is."""


@define(eq=False)
class KeptEvents:
    """A store with the bus whose events it keeps.

    Attributes:
        plugin: Whose store it is.
        bus: The bus.
        store: None where it could not be had.
        down: Why nothing is kept; None if it is, or has not begun.
        keeps: Whether the store has begun to keep what is emitted, and still does.
        faults: What it did that it should not, but for raising when it records.
    """

    plugin: Plugin
    bus: HypervisorEventBus
    store: Store | None = None
    down: str | None = None
    keeps: bool = False
    faults: StoreFaults = field(init=False)
    _starting: bool = field(default=False, init=False)
    # Its end may hang.
    _stopper: OneThread = field(factory=lambda: OneThread("store"), init=False)
    _stop_asked: threading.Event = field(factory=threading.Event, init=False)
    _stop_seconds: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.faults = StoreFaults(self.plugin.name)

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
            self.store = ask_store(self.plugin, "open_store", context)
            if self.store is None:
                self._go_down("keeps nothing", StorePartError("it has no hook open_store"))
        except SettingError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - a store's fault stays its own
            self._go_down("cannot be opened", error)
        return None

    def stream_for(self, reader: str, *, defers: bool) -> tuple[EventStream, Cursor | None]:
        """Give what *reader* reads, and how far it is; the log alone where there is no store."""
        stream = self._stream(
            reader, ReaderStream, lambda store: store.stream_for(reader, defers=defers)
        )
        return (self.bus.log, None) if stream is None else (stream, stream)

    def stream_behind_log(self, reader: str) -> EventStream:
        """Give the events of this process."""
        stream = self._stream(reader, EventStream, lambda store: store.stream_behind_log(reader))
        return self.bus.log if stream is None else stream

    def _stream(
        self, reader: str, protocol: type, ask: Callable[[Store], Any]
    ) -> KeptStream | None:
        def stream(store: Store) -> KeptStream:
            given = whole(ask(store), protocol, "it")
            return KeptStream(given, self.bus.log, lambda: self.keeps, self.faults)

        return self._quietly(f"gives no stream for {reader}", stream, None)

    # Life cycle

    def start(self) -> None:
        """Begin to keep; where that fails, the bus works in memory."""
        if self.store is None:
            return
        self._starting = True
        try:
            self.store.start(self._take_over)
            if not self.keeps:
                raise RuntimeError("its start did not take over")
            self.bus.on_clock_step(self._note_clock_step)
        except BaseException as error:  # noqa: BLE001 - a store's fault stays its own
            self._go_down("cannot begin: events are in memory alone", error)
        finally:
            self._starting = False

    def _take_over(self) -> None:
        if self._starting and self.store is not None:
            self.bus.record_through(self.store.record, self.store.sync)
            self.keeps = True

    def ensure_stoppable(self) -> None:
        """Have the thread ready that stops the store: Python 3.12 and later start none any more
        when the process ends.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        if self.store is not None:
            self._stopper.start(self._stop_when_asked)

    def stop_by(self, deadline: float) -> bool:
        """End it; tell whether it ended by *deadline*, in monotonic seconds, or soon after."""
        return self.stop(max(_LEAST_CLOSE_SECONDS, deadline - time.monotonic()))

    def stop(self, timeout: float) -> bool:
        """End it; tell whether it ended within *timeout* seconds. It is not waited for longer."""
        if self.store is None:
            return True
        self._stop_seconds = timeout
        self._stop_asked.set()
        try:
            self.ensure_stoppable()
        except RuntimeError:
            self._stop()
            return True
        ended = self._stopper.join(timeout)
        if not ended:
            self.faults.tell("end", f"did not end within {timeout:g} s")
        return ended

    def _stop_when_asked(self) -> None:
        self._stop_asked.wait()
        self._stop()

    def _stop(self) -> None:
        self._quietly("cannot end", lambda store: store.stop(self._stop_seconds), None)

    def begin_anew_after_fork(self) -> None:
        """Have a fork's child keep its events apart; where that fails, it keeps none."""
        self._stopper, self._stop_asked = OneThread("store"), threading.Event()
        if self.store is not None:
            try:
                self.store.begin_anew_after_fork()
            except BaseException as error:  # noqa: BLE001 - a store's fault stays its own
                self._go_down("cannot begin anew: events are in memory alone", error)

    # Asking

    def status(self, state: str) -> dict[str, Any]:
        """Tell of it, in plain data.

        Args:
            state: Of the whole: ``new``, ``running`` or ``stopped``.
        """
        nothing: dict[str, Any] = {}
        told = self._quietly("tells no status", lambda store: plain_status(store.status()), nothing)
        state = state if self.down is None else f"down: {self.down}"
        errors = self.bus.record_errors + self.faults.count
        own = {"name": self.plugin.name, "state": state, "errors": errors}
        return {**told, **own, "degraded": bool(told.get("degraded") or self.down)}

    def metrics(self, others: Iterable[MetricFamily]) -> list[MetricFamily]:
        """Tell of it, as metrics that stand beside those of *others*."""
        taken = {family.name for family in others}
        nothing: list[MetricFamily] = []
        return self._quietly(
            "gives no metrics", lambda store: whole_families(store.metrics(), taken), nothing
        )

    # Inside

    def _quietly(self, what: str, work: Callable[[Store], Result], otherwise: Result) -> Result:
        store = self.store
        if store is None:
            return otherwise
        return self.faults.quietly(what, lambda: work(store), otherwise)

    def _go_down(self, what: str, error: BaseException) -> None:
        if is_of_application(error):
            raise error
        self.faults.note(what, error)
        self.down, self.keeps = line_of(error), False
        self.bus.record_nowhere()

    def _note_clock_step(self, step_seconds: float) -> None:
        if self.keeps:
            self._quietly(
                "notes no step of the clock",
                lambda store: store.note_clock_step(step_seconds),
                None,
            )

    def _announce(self, event_type: str, payload: Mapping[str, Any]) -> None:
        self.bus.record(EventType.of(event_type), payload=payload)
