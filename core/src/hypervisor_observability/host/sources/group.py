"""All sources of a process: they start last and stop first."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...metrics.families import LabelValues, MetricFamily, MetricKind
from ...recorder import Recorder
from ...text.limited_log import say
from ...threads.one_thread import OneThread
from ..plugin import Plugin
from .post_import import PostImport

if TYPE_CHECKING:  # else loaded where a source is on
    from .source import Source

_PREFIX = "agent_hypervisor_observability_"
_SOURCE = ("source",)

Series = dict[LabelValues, float]


@define(eq=False)
class SourceGroup:
    """The sources of a process.

    Attributes:
        sources: By name.
    """

    sources: "dict[str, Source]" = field(factory=dict)
    _stopper: OneThread = field(factory=lambda: OneThread("sources"), init=False)

    def add(self, plugins: Iterable[Plugin], service: str, recorder: Recorder) -> None:
        """Add a source for each of *plugins*."""
        plugins = list(plugins)
        if not plugins:
            return
        from .source import Source

        post_import = PostImport()
        self.sources.update(
            {one.name: Source(one, service, recorder, post_import) for one in plugins}
        )

    def start(self) -> None:
        """Start them. One that cannot start is down; the others run.

        Raises:
            BaseException: Ctrl-C, and what else a signal handler raised.
        """
        for source in self.sources.values():
            source.start()

    def stop(self, deadline: float) -> bool:
        """Leave all frameworks as they were, in a thread of its own: it may hang.

        Args:
            deadline: Until when, in monotonic seconds.

        Returns:
            Whether all ended in time.
        """
        if not self.sources:
            return True
        try:
            self._stopper.start(self._stop)
        except RuntimeError:  # the process ends, or the system has no threads left
            self._stop()
            return True
        in_time = self._stopper.join(deadline - time.monotonic())
        if not in_time:
            late = [name for name, one in self.sources.items() if one.running]
            say(__name__, "warning", "not uninstrumented in time: %s", ", ".join(late))
        return in_time

    def _stop(self) -> None:
        # Where two have wrapped one function, the outer one goes first.
        for source in sorted(self.sources.values(), key=lambda one: one.turn, reverse=True):
            source.stop()

    def begin_anew_after_fork(self) -> None:
        """Go on in a fork's child, which ends its sources itself."""
        self._stopper = OneThread("sources")

    # Asking

    def states(self) -> dict[str, str]:
        """Give each source's state."""
        return {name: source.state for name, source in self.sources.items()}

    def status(self) -> dict[str, Any]:
        """Tell of all sources, in plain data."""
        return {
            name: {"state": source.state, "errors": source.errors}
            for name, source in self.sources.items()
        }

    def metrics(self) -> list[MetricFamily]:
        """Tell of all sources, as metrics. One that still waits is neither up nor down."""
        if not self.sources:
            return []
        up: Series = {
            (name,): int(one.up) for name, one in self.sources.items() if one.up is not None
        }
        errors: Series = {(name,): one.errors for name, one in self.sources.items()}
        return source_families(up, errors)


def source_families(up: Series, errors: Series) -> list[MetricFamily]:
    """Make the metrics of sources of their series."""
    return [
        MetricFamily(
            name=f"{_PREFIX}source_up",
            kind=MetricKind.GAUGE,
            help="Whether the source writes, or wrote to the end; none before its framework",
            label_names=_SOURCE,
            series=up,
        ),
        MetricFamily(
            name=f"{_PREFIX}source_errors_total",
            kind=MetricKind.COUNTER,
            help="Callbacks of the source that raised",
            label_names=_SOURCE,
            series=errors,
        ),
    ]
