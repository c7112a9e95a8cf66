"""What a plugin gets to know when it starts."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from hypervisor_observability import MetricFamily, PluginContext


class NoMetrics:
    """The metrics of a process that counts nothing."""

    def collect(self) -> Sequence[MetricFamily]:
        return ()


def context_for(plugin: str, metrics: Any = None, *, service: str = "test") -> PluginContext:
    """Give what *plugin* would get; each call another, as it keeps there what it has told."""
    return PluginContext(
        name=plugin,
        service=service,
        logger=logging.getLogger(f"tests.{plugin}"),
        metrics=NoMetrics() if metrics is None else metrics,
        clock=time.time_ns,
    )
