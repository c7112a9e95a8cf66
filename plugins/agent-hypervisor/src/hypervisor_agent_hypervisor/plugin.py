"""The source: it looks on while agent-hypervisor works."""

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

from hypervisor_agent_hypervisor.points import POINTS, Point, Writes
from hypervisor_agent_hypervisor.wrapping import Call, Patch, Watches, patch
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import hookimpl
from hypervisor_observability.sources import SourceContext


@frozen
class AgentHypervisorConfig:
    """No keys of its own."""


@define(eq=False)
class AgentHypervisorSource:
    """Make events of what agent-hypervisor and agent-governance-toolkit do.

    Neither has hooks, so each method of ``POINTS`` is wrapped that is there.

    Attributes:
        config: Nothing.
    """

    config: AgentHypervisorConfig = field(factory=AgentHypervisorConfig)
    _patches: list[Patch] = field(factory=list, init=False)
    _writer: Writer | None = field(default=None, init=False)

    Config = AgentHypervisorConfig
    name = "agent-hypervisor"
    targets = ("hypervisor", "agent_os")
    each_target = True
    distribution = ("agent-hypervisor", "agent-governance-toolkit-core")
    supports = ">=3.7,<6"

    @hookimpl
    def instrument(self, context: SourceContext) -> None:
        """Wrap what is there of the package that was imported."""
        if self._writer is None:
            self._writer = Writer(context)
        missing = []
        for point in POINTS:
            if point.module.partition(".")[0] != context.target:
                continue
            owner = point.find()
            found = None if owner is None else patch(owner, point.method, self._watches(point))
            if found is None:
                missing.append(point)
            else:
                self._patches.append(found)
        _tell(context, missing)

    @hookimpl
    def uninstrument(self) -> None:
        """Take back everything, and end what is still open."""
        while self._patches:
            self._patches.pop().take_back()
        if self._writer is not None:
            self._writer.end_all("the source has stopped")
            self._writer = None

    def _watches(self, point: Point) -> Watches:
        after, raised = self._guarded(point.after), self._guarded(point.raised)
        return Watches(self._noting(point.before), after, raised)

    def _noting(self, before: Writes | None) -> Callable[[Call], Any] | None:
        if before is None:
            return None

        def note(writer: Writer, call: Call) -> None:
            call.before = before(writer, call)

        note.__qualname__ = before.__qualname__
        return self._guarded(note)

    def _guarded(self, writes: Writes | None) -> Callable[[Call], Any] | None:
        writer = self._writer
        if writes is None or writer is None:
            return None

        def write(call: Call) -> None:
            writes(writer, call)

        write.__qualname__ = writes.__qualname__
        return writer.context.guarded(write)


def _tell(context: SourceContext, missing: list[Point]) -> None:
    """Tell in a line what is not there: as a warning where it should be."""
    release = "3" if context.version.startswith("3.") else "5"
    gone = [one for one in missing if release != "3" or one.only != "5"]
    odd = [one for one in gone if one.only in ("", release)]
    if gone:
        say = context.logger.warning if odd else context.logger.info
        names = ", ".join(one.title for one in gone)
        say("not seen, because %s %s has none: %s", context.target, context.version, names)
