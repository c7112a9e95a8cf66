"""A receiver that stands for Jaeger, and what a plugin gets to know."""

from collections.abc import Iterator

import pytest

from hypervisor_observability import PluginContext
from hypervisor_observability.testing import context_for
from hypervisor_otel.receiver import OTLPReceiver


@pytest.fixture
def context() -> PluginContext:
    return context_for("jaeger", service="checkout-agents")


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    with OTLPReceiver() as started:
        yield started
