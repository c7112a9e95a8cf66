"""A plugin that is started by itself, over metrics that do not change."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from hypervisor_observability import MetricFamily, PluginContext


@frozen
class _Shown:
    families: Sequence[MetricFamily]

    def collect(self) -> Sequence[MetricFamily]:
        return self.families


def start(plugin: Any, name: str, shown: Sequence[MetricFamily] = ()) -> None:
    """Start *plugin* as the runtime does, with *shown* for the metrics of the process."""
    context = PluginContext(
        name=name,
        service="benchmark",
        logger=logging.getLogger("benchmark"),
        metrics=_Shown(shown),
        clock=time.time_ns,
    )
    plugin.start(context)
