"""A plugin of a fork's child is made again; one that cannot be is down there."""

from collections.abc import Callable

import pytest

from hypervisor_observability import Config, DeliveryConfig, EventType, Observability
from hypervisor_observability.testing.readers import TakingReader
from tests.stores.test_faulty_stores import WIDE_SECONDS, numbers
from tests.stores.test_forked_stores import in_child


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_plugin_that_cannot_be_made_again_in_a_child_hurts_no_other(
    install: Callable[..., None], error: str
) -> None:
    """One that only exposes metrics is made again at the fork itself, where no error is seen."""
    source = f"""
import os
from attrs import define, frozen
from hypervisor_observability import hookimpl
PARENT = os.getpid()

@frozen
class Config:
    pass

@define(eq=False)
class Plugin:
    config: Config
    Config = Config

    def __attrs_post_init__(self):
        if os.getpid() != PARENT:
            raise {error}("not in a child")

    @hookimpl
    def start(self):
        pass
"""
    install("exposing", source)
    reader = TakingReader()
    config = Config(plugins={"exposing": {}}, delivery=DeliveryConfig(interval_seconds=0.01))
    with Observability(config, plugins=[reader]) as observability:
        observability.bus.record(EventType.VFS_WRITE)
        assert observability.flush(WIDE_SECONDS)

        def child() -> None:
            reader.events.clear()
            observability.bus.record(EventType.VFS_WRITE, payload={"number": 2})
            assert not observability.flush(WIDE_SECONDS)  # a plugin is down
            assert numbers(reader.events) == [2]
            assert "not made again" in observability.states()["exposing"]
            assert observability.stop()

        assert in_child(child) == 0
