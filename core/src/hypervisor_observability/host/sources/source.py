"""One source: from its start over the import that it waits for to its end."""

import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import count

from attrs import define, field

from ...recorder import Recorder
from ...sources import SourceContext
from ...text.error_text import line_of, mistake_in
from ...text.limited_log import LimitedLog, say
from ...threads.interruptions import is_of_application
from ..plugin import Plugin
from .framework import Framework
from .post_import import PostImport

_claimed: "dict[type, Source]" = {}
"""Which source has instrumented a framework, or is about to, by the class of its plugin: what is
wrapped twice is seen twice."""

_turns = count(1)


def somebody_observes() -> bool:
    """Whether a source is on in this process, in whatever Observability."""
    return bool(_claimed)


@define(eq=False)
class Source:
    """A source with its state. What its hooks raise goes no further.

    Attributes:
        plugin: What its author wrote.
        state: ``new``, ``waiting for MODULE``, ``running``, ``stopped`` or ``down: WHY``.
        errors: Calls of guarded callbacks that raised.
        fault: What ``instrument`` raised; None: nothing.
        turn: Higher than that of every source that was instrumented before; 0: it was not.
    """

    plugin: Plugin
    _service: str
    _recorder: Recorder
    _post_import: PostImport
    state: str = field(default="new", init=False)
    errors: int = field(default=0, init=False)
    turn: int = field(default=0, init=False)
    fault: BaseException | None = field(default=None, init=False)
    _framework: Framework = field(init=False)
    # Whoever pops one of these has the turn: a start and a stop may come from two threads.
    _to_instrument: dict[str, None] = field(factory=dict, init=False)
    _to_uninstrument: list[None] = field(factory=list, init=False)
    _misfits: set[str] = field(factory=set, init=False)
    _stopping: bool = field(default=False, init=False)
    _active: bool = field(default=False, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self._framework = Framework.of(self.plugin.instance)
        self._to_instrument.update(dict.fromkeys(self._framework.turns))

    @property
    def name(self) -> str:
        """Of the plugin."""
        return self.plugin.name

    @property
    def up(self) -> bool | None:
        """Whether it writes, or wrote until it was stopped; None if it never began to."""
        if self.state.startswith("down"):
            return False
        return True if self.running or (self.state == "stopped" and self.turn) else None

    @property
    def running(self) -> bool:
        """Whether it writes."""
        return self.state == "running"

    def start(self) -> None:
        """Instrument the framework, or wait for its import.

        Raises:
            BaseException: Ctrl-C, and what else a signal handler raised.
        """
        owner = _claimed.setdefault(type(self.plugin.instance), self)
        if owner is not self:
            self._to_instrument.clear()
            self._give_up("this source is on already in this process, in another Observability")
            return
        targets = self._framework.targets
        if not targets:
            self._imported("")
            return
        self.state = f"waiting for {' or '.join(targets)}"
        for target in targets:
            self._post_import.when_imported(target, self._imported)
        for target in targets:
            if self._framework.turn_of(target) in self._to_instrument and _is_imported(target):
                self._imported(target)

    def stop(self) -> None:
        """Leave the framework as it was."""
        self._stopping = True
        self._wait_no_more()
        self._uninstrument()
        if not self.state.startswith("down"):
            self.state = "stopped"
        if _claimed.get(type(self.plugin.instance)) is self:
            del _claimed[type(self.plugin.instance)]

    def _wait_no_more(self) -> None:
        self._to_instrument.clear()
        for target in self._framework.targets:
            self._post_import.forget(target, self._imported)

    def _imported(self, target: str) -> None:
        try:
            self._to_instrument.pop(self._framework.turn_of(target))
        except KeyError:
            return
        if not self._to_instrument:
            self._wait_no_more()
        version = None
        if target in self._framework.supports:
            version = self._framework.version(target)
        misfit = self._framework.misfit(target, version)
        if misfit is not None:
            self._misfits.add(target)
            self._leave_alone(misfit)
            return
        self._active = True
        self.turn = next(_turns)
        self._to_uninstrument[:] = [None]  # once, for all that is instrumented
        try:
            self.plugin.instrument(self._context(target, version or ""))
        except BaseException as error:  # its fault is its own: the application runs
            self._wait_no_more()
            self._uninstrument()
            if is_of_application(error):
                self.state = f"down: {line_of(error)}"
                raise
            self._give_up(line_of(error), error)
            return
        self.state = "running"
        if self._stopping:  # meanwhile, by another thread
            self._uninstrument()
            self.state = "stopped"

    def _leave_alone(self, misfit: str) -> None:
        if self.state == "running":  # by another framework
            say(__name__, "warning", "source %s: %s", self.name, misfit)
        else:
            self._give_up(misfit)

    def _give_up(self, why: str, error: BaseException | None = None) -> None:
        self.state, self.fault = f"down: {why}", error
        say(__name__, "warning", "source %s is down: %s", self.name, why, error=mistake_in(error))
        if error is not None and mistake_in(error) is None:
            say(__name__, "debug", "source %s: instrument raised", self.name, error=error)

    def _uninstrument(self) -> None:
        try:
            self._to_uninstrument.pop()
        except IndexError:
            return
        try:
            self.plugin.uninstrument()
        except BaseException as error:  # even SystemExit: it is a plugin's
            if is_of_application(error):
                raise
            say(__name__, "warning", "source %s: uninstrument raised", self.name, error=error)
        finally:
            self._active = False

    def _context(self, target: str, version: str) -> SourceContext:
        return SourceContext(
            name=self.name,
            service=self._service,
            logger=logging.getLogger(f"hypervisor_observability.plugin.{self.name}"),
            recorder=self._recorder,
            content=self.plugin.common.content,
            target=target,
            version=version,
            agents=self.plugin.common.agents,
            others=self._targets_of_others,
            failed=self._failed,
            active=lambda: self._active,
        )

    def _targets_of_others(self) -> Iterator[str]:
        for other in list(_claimed.values()):
            if other is not self and other.running:
                yield from (one for one in other._framework.targets if one not in other._misfits)

    def _failed(self, callback: str, error: BaseException) -> None:
        self.errors += 1
        message = "source %s: %s raised"
        self._limited_log.warning(callback, message, self.name, callback, error=error)


def _is_imported(target: str) -> bool:
    """Tell whether a module was imported; wait for another thread that is about it."""
    spec = getattr(sys.modules.get(target), "__spec__", None)
    if getattr(spec, "_initializing", False):
        try:
            import_module(target)
        except BaseException as error:  # it fails there, too, where somebody has asked for it
            if is_of_application(error):
                raise
            return False
    return sys.modules.get(target) is not None
