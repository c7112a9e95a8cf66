"""A plugin that writes each event as one line, to standard error or to a file."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from attrs import define, field, frozen

from hypervisor_observability import HypervisorEvent
from hypervisor_observability.hookspecs import PluginContext, hookimpl


@frozen
class ConsoleConfig:
    """The table ``[plugins.console]``.

    Attributes:
        file: Where to append the lines; standard error if empty.
    """

    file: str = ""


@define(eq=False)
class ConsolePlugin:
    """Writes events for people to read."""

    Config = ConsoleConfig

    config: ConsoleConfig
    _open_files: ExitStack = field(factory=ExitStack, init=False)
    _output: TextIO = field(init=False)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        self._output = sys.stderr
        if self.config.file:
            file = Path(self.config.file).open("a", encoding="utf-8")  # noqa: SIM115  stop() closes it
            self._output = self._open_files.enter_context(file)
        context.logger.debug("writing to %s", self._output.name)

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        for event in events:
            # repr() keeps a line one line, whatever an agent calls itself.
            who = repr(event.agent_did) if event.agent_did else "-"
            self._output.write(f"{event.timestamp.isoformat()} {event.event_type.value} {who}\n")
        self._output.flush()

    @hookimpl
    def stop(self) -> None:
        self._open_files.close()
