"""From families to the body of an answer, in the format that the client accepts."""

from collections.abc import Callable, Iterator, Sequence

from attrs import define, field
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from hypervisor_observability import MetricFamily
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_prometheus.conversion import to_metric
from hypervisor_prometheus.exposition import dialect_of, exposition
from hypervisor_prometheus.negotiation import chosen_format

Collect = Callable[[], Sequence[MetricFamily]]
"""Gives the present state of all metrics, as ``Observability.collect_metrics`` does."""


@define(eq=False)
class HypervisorCollector(Collector):
    """The metrics as a collector of prometheus_client, for a registry that there is already.

    ::

        registry.register(HypervisorCollector(observability.collect_metrics))

    Args:
        collect: Gives the metrics.
    """

    _collect: Collect
    _log: LimitedLog = field(factory=lambda: LimitedLog(__name__), kw_only=True)

    def describe(self) -> list[Metric]:
        """Tell nothing in advance: which families there are shows at a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the present state; one family that cannot be shown does not hide the others."""
        for family in self._collect():
            try:
                metric = to_metric(family)
            except Exception as error:  # noqa: BLE001 - whatever the values of a family raise
                self._log.warning(family.name, "metric %r cannot be shown: %s", family.name, error)
            else:
                yield metric


def as_registry(collect: Collect) -> CollectorRegistry:
    """Give a registry that holds the metrics and nothing else."""
    registry = CollectorRegistry()
    registry.register(HypervisorCollector(collect))
    return registry


@define(eq=False)
class Renderer:
    """Write metrics as a client asks for them.

    Args:
        collect: Gives the metrics.
        log: Told of families that cannot be shown.
    """

    _collect: Collect
    _log: LimitedLog = field(factory=lambda: LimitedLog(__name__))

    def render(self, accept: str) -> tuple[str, bytes]:
        """Give the content type and the body of the answer to a header ``Accept``."""
        # The library's own reading of the header knows neither weights nor quotes.
        encode, content_type = choose_encoder(chosen_format(accept))
        families = self._collect()
        dialect = dialect_of(content_type)
        text = None if dialect is None else exposition(families, dialect)
        if text is None:
            registry = CollectorRegistry()
            registry.register(HypervisorCollector(lambda: families, log=self._log))
            text = encode(registry)
        return content_type, text
