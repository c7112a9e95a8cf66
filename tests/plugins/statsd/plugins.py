"""Plugins that send, and what they are given to send."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hypervisor_observability import FinishedSpan, MetricFamily, MetricKind, SpanStatus
from hypervisor_observability.testing import context_for
from hypervisor_statsd import StatsDConfig, StatsDPlugin

MakePlugin = Callable[..., StatsDPlugin]


@contextmanager
def making_plugins(**defaults: object) -> Iterator[MakePlugin]:
    """Give what makes and starts plugins: ``make(via=Via.TCP)``; all are stopped at the end."""
    with ExitStack() as stack:

        def make(**settings: object) -> StatsDPlugin:
            config = StatsDConfig(**{**defaults, **settings})  # type: ignore[arg-type]  # as the test says
            plugin = StatsDPlugin(config)
            plugin.start(context_for("statsd"))
            stack.callback(plugin.stop)
            return plugin

        yield make


def family(name: str, kind: MetricKind, value: float, *agents: str) -> MetricFamily:
    """Give a family with the same value for each agent."""
    return MetricFamily(
        name=name,
        kind=kind,
        help="",
        label_names=("agent",),
        series={(agent,): value for agent in agents},
    )


def counter(total: float = 1, *agents: str) -> MetricFamily:
    """Give the counter ``n_total``, of one agent unless told otherwise."""
    return family("n_total", MetricKind.COUNTER, total, *(agents or ("a",)))


def duration(number: int = 1, **changes: object) -> FinishedSpan:
    """Give a step that took *number* times 1.5 ms."""
    values: dict[str, object] = {
        "name": "saga.step.validate",
        "trace_id": "1" * 32,
        "span_id": f"{number:016x}",
        "parent_span_id": None,
        "start_ns": 0,
        "end_ns": number * 1_500_000,
        "status": SpanStatus.OK,
        "attributes": {"agent.saga.step_action": "validate"},
        "scope": "step",
    }
    return FinishedSpan(**{**values, **changes})  # type: ignore[arg-type]  # any may change
