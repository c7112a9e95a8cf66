"""What a plugin gets to know when it starts."""

import logging
import time
from collections.abc import Sequence

from attrs import frozen

from ..hookspecs import MetricsView, PluginContext
from ..metrics.families import MetricFamily


@frozen
class KnownMetrics:
    """The metrics of a process in which nothing more happens.

    Attributes:
        families: What ``collect`` gives.
    """

    families: Sequence[MetricFamily] = ()

    def collect(self) -> Sequence[MetricFamily]:
        """Give all families."""
        return self.families


def context_for(
    plugin: str, metrics: MetricsView | None = None, *, service: str = "test"
) -> PluginContext:
    """Give what the ``start`` of a *plugin* of this name gets, each time with an empty ``kept``.

    Args:
        plugin: The name of its table.
        metrics: Those of the process; None: there are none.
        service: The name of the observed system.
    """
    return PluginContext(
        name=plugin,
        service=service,
        logger=logging.getLogger(f"{__package__}.plugin.{plugin}"),
        metrics=KnownMetrics() if metrics is None else metrics,
        clock=time.time_ns,
    )
