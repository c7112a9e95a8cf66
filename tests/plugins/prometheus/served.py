"""A served plugin over metrics that the test makes by hand."""

from collections.abc import Callable, Sequence

from attrs import define, field

from hypervisor_observability import MetricFamily
from hypervisor_observability.testing import context_for
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from tests.http_client import Answer, ask


@define(eq=False)
class HandMadeMetrics:
    """The metrics of the process, as the test sets them."""

    families: Sequence[MetricFamily] = ()
    before_collecting: Callable[[], object] = lambda: None

    def collect(self) -> Sequence[MetricFamily]:
        self.before_collecting()
        return self.families


@define(eq=False)
class Served:
    """A plugin that answers, with its metrics."""

    metrics: HandMadeMetrics = field(factory=HandMadeMetrics)
    config: PrometheusConfig = field(factory=lambda: PrometheusConfig(port=0))
    plugin: PrometheusPlugin = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.plugin = PrometheusPlugin(self.config)

    def start(self) -> None:
        self.plugin.start(context_for("prometheus", self.metrics))

    def check(self) -> str | None:
        return self.plugin.check(context_for("prometheus", self.metrics))

    def ask(self, path: str = "/metrics", method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = b"x" * 1_000 if method == "POST" else None
        return ask(self.plugin.port, path, method=method, body=body, headers=named)
