from hypervisor_observability.config import BusConfig
from hypervisor_observability.values.default_bounds import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_EVENTS,
    DefaultBound,
    asked_bounds,
)


def test_bound_that_nobody_asked_for_overrules_none() -> None:
    default, other = DefaultBound(3), DefaultBound(4)
    assert asked_bounds(default, other) == (3, 4)
    assert asked_bounds(5, other) == (5, None)
    assert asked_bounds(None, other) == (None, None)
    assert asked_bounds(default, 6) == (None, 6)
    assert asked_bounds(5, 6) == (5, 6)
    assert asked_bounds(DEFAULT_MAX_EVENTS, DEFAULT_MAX_BYTES) == (100_000, 64 * 1024 * 1024)


def test_configuration_bounds_the_log_as_the_bus_does_by_itself() -> None:
    config = BusConfig()

    assert config.max_events is DEFAULT_MAX_EVENTS
    assert config.max_bytes is DEFAULT_MAX_BYTES
