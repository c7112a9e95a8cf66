"""The source: it looks on while agent-hypervisor works."""

from collections.abc import Callable
from functools import partial, update_wrapper, wraps
from typing import Any

from attrs import define, field, frozen

from hypervisor_agent_hypervisor.points import POINTS, Point, Writes
from hypervisor_agent_hypervisor.wrapping import Call, Patch, Watches, patch
from hypervisor_agent_hypervisor.writer import Writer
from hypervisor_observability import hookimpl
from hypervisor_observability.config.plugin_tables import Content
from hypervisor_observability.sources import SourceContext

_WITHOUT_LIABILITY = 5
"""The release that left bonds, penalties, quarantines, fan-outs and checkpoints out."""


@frozen
class AgentHypervisorConfig:
    """No keys of its own."""


@define(eq=False)
class AgentHypervisorSource:
    """Make events of what agent-hypervisor and agent-governance-toolkit do.

    Neither has hooks, so each method of ``POINTS`` is wrapped that is there.

    Attributes:
        config: Nothing.
        content: What goes into payloads; where there is a table, its key.
    """

    config: AgentHypervisorConfig = field(factory=AgentHypervisorConfig)
    content: Content = field(default="names", kw_only=True)
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

        @wraps(before)
        def note(writer: Writer, call: Call) -> None:
            call.before = before(writer, call)

        return self._guarded(note)

    def _guarded(self, writes: Writes | None) -> Callable[[Call], Any] | None:
        writer = self._writer
        if writes is None or writer is None:
            return None

        return writer.context.guarded(update_wrapper(partial(writes, writer), writes))


def _tell(context: SourceContext, missing: list[Point]) -> None:
    """Tell in a line what is not there: as a warning where it should be."""
    is_new = int(context.version.partition(".")[0]) >= _WITHOUT_LIABILITY
    gone = [one for one in missing if is_new or one.only != "5"]
    odd = [one for one in gone if one.only != "<5"]
    if gone:
        say = context.logger.warning if odd else context.logger.info
        names = ", ".join(one.title for one in gone)
        say("not seen, because %s %s has none: %s", context.target, context.version, names)
