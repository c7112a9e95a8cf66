"""Plugins that are served, and stopped after the test."""

from collections.abc import Callable, Iterator

import pytest

from hypervisor_prometheus import PrometheusConfig
from tests.plugins.prometheus.served import Served


@pytest.fixture
def make_served() -> Iterator[Callable[..., Served]]:
    """Make plugins with a configuration; those that were started are stopped."""
    made: list[Served] = []

    def make(**settings: object) -> Served:
        config = PrometheusConfig(**{"port": 0, **settings})  # type: ignore[arg-type]  # as the test says
        made.append(Served(config=config))
        return made[-1]

    yield make
    for served in made:
        served.plugin.stop()


@pytest.fixture
def served(make_served: Callable[..., Served]) -> Served:
    """A plugin that answers on a free port."""
    served = make_served()
    served.start()
    return served
