"""``hvobs check --start``: start each plugin as an application would, then stop it."""

import importlib
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from ..bus.event_bus import HypervisorEventBus
from ..config import Config
from ..errors import RetryLater
from ..events import clock
from ..hookspecs import PluginContext
from ..host.kept_events import KeptEvents
from ..host.kinds import SOURCE, STORE, kind_of
from ..host.plugin import Plugin
from ..host.sources.post_import import PostImport
from ..host.sources.source import Source
from ..metrics.families import MetricFamily
from ..recorder import Recorder
from ..text.error_text import line_of
from .answers import Answer

START_SECONDS = 30.0
"""Time that all starts get together, and all ends after them."""

_LINGER_SECONDS = 1.0


@frozen
class NoMetrics:
    """The metrics of a process in which nothing happened."""

    def collect(self) -> Sequence[MetricFamily]:
        """Give none."""
        return ()


@define(eq=False)
class Trial:
    """One plugin that is started, then stopped. What it raises becomes its answer.

    Attributes:
        plugin: Which.
        fault: What went wrong; None: nothing so far.
        told: What is to be said where nothing did.
    """

    plugin: Plugin
    _start: Callable[[], str]
    _stop: Callable[[], object]
    fault: str | None = None
    told: str = "started and stopped"
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self, deadline: float) -> None:
        """Start it, and wait until it has started or the time is over."""
        self._run("start", self._note_start, deadline)

    def stop(self, deadline: float) -> None:
        """Stop it, also after a start that raised; not after one that hangs."""
        if self._thread is not None and self._thread.is_alive():
            self.plugin.give_up(for_good=True)
        else:
            self._run("stop", self._stop, deadline)

    @property
    def answer(self) -> Answer:
        """What became of it."""
        if self.fault is None:
            return Answer(self.plugin.name, "ok", self.told)
        return Answer(self.plugin.name, "failed", self.fault)

    def _note_start(self) -> None:
        self.told = self._start()

    def _run(self, what: str, call: Callable[[], object], deadline: float) -> None:
        def run() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
                self._failed(what, error)

        began = time.monotonic()
        self._thread = threading.Thread(target=run, name=f"hvobs-{self.plugin.name}", daemon=True)
        self._thread.start()
        self._thread.join(max(0.0, deadline - began))
        if self._thread.is_alive():
            waited = time.monotonic() - began
            self.fault = self.fault or f"{what} has not returned after {waited:.1f} s"

    def _failed(self, what: str, error: BaseException) -> None:
        if self.fault is not None:  # it has been said what went wrong
            return
        verb = "asks to be started later" if isinstance(error, RetryLater) else f"{what} raised"
        self.fault = f"{verb}: {line_of(error)} ({place_of(error, self.plugin.instance)})"


def place_of(error: BaseException, instance: object) -> str:
    """Give the file and the line of the plugin's own code that *error* came through last; where
    it came through none, those where it was raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    module = importlib.import_module(type(instance).__module__)
    folder = str(Path(getattr(module, "__file__", None) or os.devnull).parent)
    own = [frame for frame in frames if frame.filename.startswith(f"{folder}{os.sep}")]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def try_starts(
    config: Config, loaded: Iterable[Plugin], *, seconds: float = START_SECONDS
) -> list[Answer]:
    """Start all plugins, one after the other as an application does, then stop them in turn.

    No export hook is called. Frameworks that are installed are imported for their sources.
    """
    before = set(threading.enumerate())
    trials = [_trial_of(plugin, config) for plugin in loaded]
    deadline = time.monotonic() + seconds
    for trial in trials:
        trial.start(deadline)
    deadline = time.monotonic() + seconds
    for trial in reversed(trials):
        trial.stop(deadline)
    answers = [trial.answer for trial in trials]
    left = _threads_left(before)
    if left and all(answer.state == "ok" for answer in answers):
        names = ", ".join(sorted(thread.name for thread in left))
        answers.append(Answer("[threads]", "failed", f"left running by a plugin: {names}"))
    return answers


def _threads_left(before: set[threading.Thread]) -> set[threading.Thread]:
    """Give the threads that are new, and go on although they have had a moment to end."""
    end = time.monotonic() + _LINGER_SECONDS
    while left := {one for one in threading.enumerate() if one not in before}:
        if time.monotonic() >= end:
            break
        time.sleep(0.01)
    return left


def _trial_of(plugin: Plugin, config: Config) -> Trial:
    kind = kind_of(plugin)
    if kind is STORE:
        return _of_store(plugin, config)
    if kind is SOURCE:
        return _of_source(plugin, config)
    return Trial(plugin, lambda: _start_reader(plugin, config), plugin.stop)


def context_of(plugin: Plugin, service: str) -> PluginContext:
    """Make what a plugin gets to know, in a process in which nothing happens."""
    return PluginContext(
        name=plugin.name,
        service=service,
        logger=logging.getLogger(f"hypervisor_observability.plugin.{plugin.name}"),
        metrics=NoMetrics(),
        clock=clock.now_ns,
    )


def _start_reader(plugin: Plugin, config: Config) -> str:
    plugin.start(context_of(plugin, config.service))
    return "started and stopped" if "start" in plugin.hooks else "it has no hook start"


def _of_store(plugin: Plugin, config: Config) -> Trial:
    kept = KeptEvents(plugin, HypervisorEventBus())

    def start() -> str:
        fault = kept.open(config.service, lambda event: event)
        if fault is not None:
            raise fault
        kept.start()
        if kept.down is not None:
            raise RuntimeError(kept.down)
        return "started and stopped"

    return Trial(plugin, start, lambda: kept.stop(START_SECONDS))


def _of_source(plugin: Plugin, config: Config) -> Trial:
    source = Source(plugin, config.service, Recorder(HypervisorEventBus()), PostImport())

    def start() -> str:
        source.start()
        for target in getattr(plugin.instance, "targets", ()):
            with suppress(ModuleNotFoundError):  # it waits for it
                importlib.import_module(target)
        if source.state.startswith("down"):
            raise source.fault or RuntimeError(source.state.removeprefix("down: "))
        return f"{source.state}, then stopped"

    return Trial(plugin, start, source.stop)
