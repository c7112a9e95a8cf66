"""Each way to get a plugin wrong fails in the tests that are about it, and in no others."""

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import SkipTest

import pytest

from hypervisor_observability import HypervisorEvent, hookimpl
from hypervisor_observability.config import Secret
from hypervisor_observability.testing import HTTPReceiver, PluginContract
from hypervisor_observability.testing.plugin_away_contract import AwayContract
from hypervisor_observability.testing.plugin_samples import ids
from tests.kit import broken_hooks
from tests.kit.broken_hooks import FAULTS
from tests.kit.broken_sending import SwallowsErrors
from tests.kit.post_plugin import PostConfig, PostPlugin

pytestmark = pytest.mark.slow


class Contract(PluginContract):
    """The contract, to be asked test by test."""

    deadline_seconds = 1.0

    def __init__(self, plugin: type[PostPlugin]) -> None:
        self.kind = plugin

    def make_receiver(self) -> HTTPReceiver:
        return HTTPReceiver()

    def make_plugin(self) -> object:
        receiver, token = self.receiver, Secret("hunter2-of-the-contract")
        return self.kind(PostConfig(receiver.host, receiver.port, token, 0.2))


def failures(plugin: type[PostPlugin]) -> dict[str, str]:
    """Give the tests that fail, with what they say.

    What sends as the right plugin does need not be tried with each fault of the far end again.
    """
    found = {}
    sends_right = plugin.__module__ == broken_hooks.__name__
    for name in dir(Contract):
        if name.startswith("test_") and not (sends_right and hasattr(AwayContract, name)):
            contract = Contract(plugin)
            if name.removeprefix("test_") in FAULTS.get(plugin, ()):
                # What it waits for in vain need not take long.
                contract.patience_seconds, contract.flush_seconds = 0.5, 2.0
            try:
                getattr(contract, name)()
            except SkipTest:
                continue
            except (AssertionError, Exception) as error:
                found[name.removeprefix("test_")] = str(error)
            finally:
                socket.setdefaulttimeout(None)
    return found


@pytest.mark.parametrize("plugin", FAULTS, ids=lambda plugin: plugin.__name__)
def test_fault_is_found_where_it_is(plugin: type[PostPlugin]) -> None:
    found = failures(plugin)
    assert found.keys() == FAULTS[plugin], json.dumps(found, indent=1)


def test_right_plugin_passes() -> None:
    assert failures(PostPlugin) == {}


class Raising(PostPlugin):
    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        raise AttributeError(f"{len(events)} events")


class Hanging(PostPlugin):
    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        threading.Event().wait(20)


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Raising, "2 of 2 events were rejected: an export hook raised something other"),
        (
            Hanging,
            "2 of 2 events were handed over and never confirmed .*: return from each hook",
        ),
    ],
)
def test_what_became_of_the_events_is_said_rather_than_a_time(
    plugin: type[PostPlugin], expected: str
) -> None:
    contract = Contract(plugin)
    contract.deadline_seconds = contract.patience_seconds = 0.2
    contract.flush_seconds = 2.0
    with contract.prepared(), contract.observed() as observability:
        contract.emit(observability, ids(2))
        with pytest.raises(AssertionError, match=expected):
            contract.all_delivered(observability, ids(2))


def test_keys_without_a_config_are_no_skip() -> None:
    class Bare:
        @hookimpl
        def export_events(self, events: Sequence[HypervisorEvent]) -> None: ...

    class BareContract(PluginContract):
        def make_plugin(self) -> object:
            return Bare()

        def settings(self) -> Mapping[str, Any]:
            return {"url": "http://127.0.0.1"}

    with pytest.raises(AssertionError, match="the plugin has no Config, so its table takes none"):
        BareContract().test_config_takes_its_keys_and_no_others()


def test_message_says_what_is_wrong_and_what_to_do() -> None:
    with pytest.raises(AssertionError, match="its events count as delivered: raise RetryLater"):
        Contract(SwallowsErrors).test_far_end_that_refuses_connections_is_tried_again_later()
