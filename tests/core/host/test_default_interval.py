"""How soon events come to a plugin: as the user says, else as its author does, else in 0.2 s."""

from typing import Any

import pytest

from hypervisor_observability import Config, EventType, HypervisorEvent, Observability, hookimpl
from hypervisor_observability.config import DeliveryConfig
from hypervisor_observability.host.plugin_checks import checked
from hypervisor_observability.testing import PluginContract
from tests.waiting import wait_until


class Plain:
    @hookimpl
    def export_events(self, events: list[HypervisorEvent]) -> None:
        pass


class Hasty(Plain):
    default_interval_seconds: Any = 0.05


@pytest.mark.parametrize(
    ("plugin", "configured", "seconds"),
    [(Plain, None, 0.2), (Hasty, None, 0.05), (Plain, 3.0, 3.0), (Hasty, 0.2, 0.2)],
)
def test_user_goes_before_author_and_author_before_the_default(
    plugin: type, configured: float | None, seconds: float
) -> None:
    found = checked("one", plugin(), DeliveryConfig(interval_seconds=configured))

    assert found.interval_seconds == seconds


def test_interval_of_the_author_is_the_one_that_a_worker_waits_for() -> None:
    class Slow(Plain):
        default_interval_seconds = 3_600

    with Observability(plugins=[Slow(), Plain()]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        wait_until(lambda: observability.counts()["plain"].delivered == 1)
        assert observability.counts()["slow"].pending == 1


@pytest.mark.parametrize("says", ["0.1", 0, -1, float("nan"), float("inf"), True, None, 86_401])
def test_interval_that_cannot_be_is_refused_whatever_the_user_says(says: object) -> None:
    class Odd(Plain):
        default_interval_seconds = says

    config = Config(delivery=DeliveryConfig(interval_seconds=1.0))
    with pytest.raises(ValueError, match="default_interval_seconds: expected a number of seconds"):
        Observability(config, plugins=[Odd()])
    with pytest.raises(AssertionError, match="refused when it is loaded: default_interval_sec"):
        _contract_of(Odd).test_hooks_are_spelt_right()


def _contract_of(plugin_class: type) -> PluginContract:
    class Contract(PluginContract):
        def make_plugin(self) -> object:
            return plugin_class()

    return Contract()
