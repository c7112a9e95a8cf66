"""A receiver that stands for Jaeger, and what a plugin gets to know."""

from collections.abc import Iterator

import pytest

from hypervisor_observability import PluginContext
from hypervisor_otel.receiver import OTLPReceiver
from tests.plugin_contexts import context_for


@pytest.fixture
def context() -> PluginContext:
    return context_for("jaeger", service="checkout-agents")


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    with OTLPReceiver() as started:
        yield started
