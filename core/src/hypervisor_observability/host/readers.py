"""A reader: a plugin with its account and what drives it, from its start to its end."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from attrs import define, field, frozen

from ..bus.stream import Cursor, EventStream
from ..config import matches
from ..delivery import counts as reasons
from ..delivery.accounts import Account
from ..delivery.dead_letters import DeadLetters
from ..delivery.metrics_feed import MetricsFeed
from ..delivery.outlet import Outlet, Terms
from ..delivery.parts import Parts
from ..delivery.worker import Worker
from ..errors import Reject, RetryLater
from ..events import clock
from ..events.event import HypervisorEvent
from ..facts.prices import Prices
from ..gate import PayloadPolicy
from ..hookspecs import PluginContext
from ..text.error_text import line_of, mistake_in
from ..text.limited_log import say
from ..threads.interruptions import is_from_handler, is_of_application
from ..threads.one_thread import OneThread
from .plugin import Plugin

StreamFor = Callable[[Plugin], tuple[EventStream, Cursor | None, Parts | None]]


@frozen(kw_only=True)
class Surroundings:
    """What all readers of a process share.

    Attributes:
        service: Name of the observed system.
        stream_for: Gives where a plugin's events come from, the cursor in it, and the parts by
            which it is read.
        feed: The internal reader that feeds the metrics.
        admit: Takes from an event what may not leave the process.
        own_threads: Identifiers of the threads in which hooks are called.
        state_directory: Where dead letters are kept; None: nowhere.
        prices: To estimate costs of which nobody told; None: they are not estimated.
        resumed: Whether the metrics begin with totals of an earlier process.
    """

    service: str
    stream_for: StreamFor
    feed: MetricsFeed
    admit: Callable[[HypervisorEvent], HypervisorEvent]
    own_threads: set[int]
    state_directory: Path | None
    prices: Prices | None = None
    resumed: bool = False


@define(eq=False)
class Reader:
    """A plugin with what drives it.

    Attributes:
        account: What became of the events.
        worker: None for a plugin that only exposes metrics: the account is then that of what
            feeds them.
        begun: Whether it has a position in its stream: one that has none may not end either, for
            it would save one.
    """

    _plugin: Plugin
    _surroundings: Surroundings
    account: Account = field(init=False)
    worker: Worker | None = field(default=None, init=False)
    begun: bool = field(default=False, init=False)
    _down: str | None = field(default=None, init=False)
    # For a plugin without a worker: its end may hang.
    _stopper: OneThread = field(init=False)
    _stop_asked: threading.Event = field(init=False)
    # What an instance hands on to the one that takes over from it.
    _kept: dict[str, Any] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._adopted(self._plugin)
        self._stopper, self._stop_asked = OneThread(self.name), threading.Event()
        if self._plugin.only_exposes:
            self.account = self._surroundings.feed.account
        else:
            self.account = Account(*self._surroundings.stream_for(self._plugin))
            self.worker = Worker(self._plugin.name, self._plugin, self.account, self._terms())

    @property
    def name(self) -> str:
        """Of the plugin."""
        return self._plugin.name

    @property
    def plugin(self) -> Plugin:
        """The plugin; another one after a hook has hung."""
        outlet = self._plugin if self.worker is None else self.worker.outlet
        return outlet if isinstance(outlet, Plugin) else self._plugin

    @property
    def down(self) -> str | None:
        """Why it does not run; None if it does, or has not been started."""
        if self._down is None and self.worker is not None:
            return self.worker.down
        return self._down

    def start(self) -> None:
        """Call the hook. A plugin that cannot start is down; one that asks to retry is started by
        its worker, later; nothing is raised.

        Raises:
            BaseException: Ctrl-C, and what else a signal handler raised.
        """
        if self.worker is not None:
            self.worker.begin()
        self.begun = True
        try:
            self._start_outlet(self._plugin)
        except RetryLater as error:
            if self.worker is None:
                self._give_up_start(error)
            else:
                self.worker.start_later(error)
        except BaseException as error:  # its fault is its own: the others run
            if is_of_application(error):
                raise
            self._give_up_start(error)

    def _give_up_start(self, error: BaseException) -> None:
        self._go_down(line_of(error), error)
        if mistake_in(error) is None:  # else it was told with its traceback
            say(__name__, "debug", "plugin %s: start raised", self.name, error=_unexpected(error))
        _stop_quietly(self._plugin)

    def _go_down(self, why: str, error: BaseException) -> None:
        self._down = why
        if self.worker is None:  # until now its account was that of all who only expose
            self.account = Account(self._surroundings.stream_for(self._plugin)[0])
        self.worker = None
        self.account.close(reasons.DOWN)
        mistake = mistake_in(error)
        say(__name__, "error", "plugin %s is down: %s", self.name, self._down, error=mistake)

    def ensure_stoppable(self) -> None:
        """Have the thread ready that stops a plugin without a worker: at the end of the process,
        when it is needed, Python 3.12 and later start none any more.

        Raises:
            RuntimeError: The system refuses a new thread.
        """
        if self.worker is None and self._down is None:
            self._stopper.start(self._stop_when_asked)

    def stop_exposing(self) -> OneThread | None:
        """Have a plugin without a worker stopped, in a thread of its own: it may hang.

        Returns:
            The thread; None if there is nothing to wait for.
        """
        if self.worker is not None or self._down is not None:
            return None
        self._stop_asked.set()
        try:
            self.ensure_stoppable()
        except RuntimeError:  # there was no event, or the system has no threads left
            self._stop_plugin()
            return None
        return self._stopper

    def _stop_when_asked(self) -> None:
        self._stop_asked.wait()
        self._stop_plugin()

    def begin_anew_after_fork(self) -> None:
        """Forget what the parent's process has."""
        self._kept = {}
        if self.worker is not None:
            self.worker.begin_anew_after_fork()
        elif self._down is None and self._plugin.renewed is not None:
            try:
                self._plugin = self._renewed(self._plugin.renewed)
            except Exception as error:  # noqa: BLE001 - its __init__ is its author's
                self._go_down(f"not made again after a fork: {line_of(error)}", error)
        self._stopper, self._stop_asked = OneThread(self.name), threading.Event()

    def start_exposing_after_fork(self) -> None:
        """Start a plugin without a worker in a fork's child, in a thread of its own."""
        if self.worker is None and self._down is None and self._plugin.renewed is not None:
            OneThread(self.name).start(self.start)

    def _renewed(self, make: Callable[[], Plugin]) -> Plugin:
        """Make another instance, whose threads are known as the plugin's own."""
        return self._adopted(make())

    def _adopted(self, plugin: Plugin) -> Plugin:
        plugin.loop.own_threads = self._surroundings.own_threads
        return plugin

    def _stop_plugin(self) -> None:
        _stop_quietly(self._plugin)

    def _start_outlet(self, outlet: Outlet) -> None:
        context = PluginContext(
            name=self.name,
            service=self._surroundings.service,
            logger=logging.getLogger(f"{__package__}.plugin.{self.name}"),
            metrics=self._surroundings.feed,
            clock=clock.now_ns,
            resumed=self._surroundings.resumed,
            kept=self._kept,
            prices=self._surroundings.prices,
        )
        # What was handed to the worker, or made in its place.
        cast(Plugin, outlet).start(context)

    def _terms(self) -> Terms:
        plugin, around = self._plugin, self._surroundings
        delivery = plugin.delivery
        letters = around.state_directory
        return Terms(
            wanted=partial(matches, delivery.events) if delivery.events else None,
            admit=around.admit,
            disclose=PayloadPolicy.of(plugin.payload).apply,
            max_batch_events=delivery.max_batch_events,
            max_batch_bytes=delivery.max_batch_bytes,
            interval_seconds=plugin.interval_seconds,
            metrics=around.feed,
            metrics_interval_seconds=delivery.metrics_interval_seconds,
            hook_timeout_seconds=plugin.hook_timeout_seconds,
            renewed=None if plugin.renewed is None else partial(self._renewed, plugin.renewed),
            given_up=_give_up,
            start=self._start_outlet,
            own_threads=around.own_threads,
            pending_sessions=plugin.pending_sessions,
            prices=around.prices,
            sampling=plugin.sampling,
            dead_letters=None if letters is None else DeadLetters.of(letters, plugin.name),
        )


def _give_up(outlet: Outlet, for_good: bool) -> None:  # noqa: FBT001 - as Terms has it
    cast(Plugin, outlet).give_up(for_good=for_good)


def _stop_quietly(plugin: Plugin) -> None:
    try:
        plugin.stop()
    except BaseException as error:  # even SystemExit: it is a plugin's
        if is_from_handler(error):
            raise
        say(__name__, "debug", "plugin %s: stop raised", plugin.name, error=_unexpected(error))


def _unexpected(error: BaseException) -> BaseException | None:
    """Give what has a traceback that tells more than its text does."""
    return None if isinstance(error, RetryLater | Reject) else error
