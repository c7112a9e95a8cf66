"""Spans for Jaeger, and a receiver that stands for it."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from hypervisor_observability.hookspecs import PluginContext
from hypervisor_observability.metrics.families import MetricFamily
from hypervisor_observability.spans.record import FinishedSpan
from hypervisor_otel.receiver import OTLPReceiver


class NoMetrics:
    def collect(self) -> Sequence[MetricFamily]:
        return ()


@pytest.fixture
def context() -> PluginContext:
    return PluginContext(
        name="jaeger",
        service="checkout-agents",
        logger=logging.getLogger("tests.jaeger"),
        metrics=NoMetrics(),
        clock=time.time_ns,
    )


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    with OTLPReceiver() as started:
        yield started


@pytest.fixture
def make_span() -> Callable[..., FinishedSpan]:
    """Make a span: ``make_span(2, parent=1, name="saga")``; the number is its id."""

    def make(number: int = 1, *, parent: int | None = None, **changes: object) -> FinishedSpan:
        values: dict[str, object] = {
            "name": "saga.step.validate",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": f"{number:016x}",
            "parent_span_id": None if parent is None else f"{parent:016x}",
            "start_ns": 1_700_000_000_000_000_000 + number * 1_000_000,
            "end_ns": 1_700_000_000_000_000_000 + number * 1_000_000 + 2_500_999,
            "agent_did": "did:mesh:orchestrator",
            "session_id": "s1",
        }
        return FinishedSpan(**{**values, **changes})  # type: ignore[arg-type] # any may change

    return make
