"""The source where agent-hypervisor is not installed: it waits, and says why it cannot run."""

import importlib
import sys

import pytest

from hypervisor_agent_hypervisor import AgentHypervisorConfig, AgentHypervisorSource
from hypervisor_agent_hypervisor.told import Told
from hypervisor_agent_hypervisor.work import MAX_KEPT, Kept
from hypervisor_observability import Config, ConfigError, Observability
from hypervisor_observability.config import PluginTable

NAME = "agent-hypervisor"


def test_source_waits_for_what_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [one for one in sys.modules if one.partition(".")[0] == "hypervisor"]:
        monkeypatch.delitem(sys.modules, module)
    with Observability(Config(plugins={NAME: PluginTable(NAME, {})})) as observability:
        assert observability.states() == {NAME: "waiting for hypervisor or agent_os"}


def test_name_that_core_shares_with_the_framework_is_not_the_framework(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [one for one in sys.modules if one.partition(".")[0] == "hypervisor"]:
        monkeypatch.delitem(sys.modules, module)
    with Observability(plugins=[AgentHypervisorSource()]) as observability:
        alias = importlib.import_module("hypervisor.observability")
        assert alias.HypervisorEventBus is type(observability.bus)
        emit = alias.HypervisorEventBus.emit
        assert observability.states()[NAME].startswith("down: the version of agent-hypervisor or")
        assert alias.HypervisorEventBus.emit is emit


def test_source_takes_no_keys_of_its_own() -> None:
    assert AgentHypervisorSource(AgentHypervisorConfig()).content == "names"
    with pytest.raises(ConfigError, match="unknown key"):
        Observability(Config(plugins={NAME: PluginTable(NAME, {"sessions": True})}))


def test_only_so_much_is_followed() -> None:
    gone: list[int] = []
    kept = Kept[int](gone.append)
    for number in range(MAX_KEPT + 2):
        kept.put(f"s-{number}", number)

    assert gone == [0, 1]
    assert kept.get("s-0") is None
    assert kept.get("s-2") == 2
    assert kept.get(["unhashable"]) is None
    assert kept.newest_first() == list(range(MAX_KEPT + 1, 1, -1))


def test_only_so_many_ids_are_remembered() -> None:
    told = Told()
    assert not told.is_known("e-0")
    assert told.is_known("e-0")
    for number in range(1, 10_001):
        assert not told.is_known(f"e-{number}")
    assert not told.is_known("e-0")
