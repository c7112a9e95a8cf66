"""How the events are delivered, as HEALTH has it: from statuses of processes, or from metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from hypervisor_observability import Config, HypervisorEvent, Observability, Reject, hookimpl
from hypervisor_observability.cli.status import told_statuses
from hypervisor_observability.config import DeliveryConfig, StateConfig
from hypervisor_observability.stores import Description, History
from hypervisor_web.boards.health import (
    Health,
    health_of_processes,
    health_of_this_process,
    history_told,
)
from tests.configurations import write_config
from tests.plugins.web import scenario
from tests.plugins.web.served import serving


class Picky:
    """A plugin that refuses files."""

    name = "picky"

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        if any(event.event_type.value.startswith("vfs.") for event in events):
            raise Reject("no files")


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_config('[state]\ndirectory = "state"\n\n[plugins.journal]\ndirectory = "j"\n')


def recorded(tmp_path: Path) -> Observability:
    config = Config(
        plugins={"journal": {"directory": tmp_path / "j", "checkpoint_events": 10}},
        state=StateConfig(directory=tmp_path / "state"),
        delivery=DeliveryConfig(interval_seconds=0.01),
    )
    with Observability(config, plugins=[Picky()]) as observability:
        scenario.play(observability.recorder)
        assert not observability.flush(30)  # some were refused
    return observability


def only_process(health: Health) -> Any:
    (found,) = health.processes
    return found


def check_account(process: Any, name: str) -> Any:
    """Find the plugin, whose numbers add up to what was emitted."""
    (plugin,) = [one for one in process["plugins"] if one["name"] == name]
    dropped = sum(count for _, count in plugin["dropped"])
    parts = plugin["delivered"] + plugin["waiting"] + plugin["rejected"] + dropped
    assert plugin["emitted"] == parts == process["emitted"]
    return plugin


def test_statuses_tell_of_every_plugin_and_of_the_journal(configured: Path) -> None:
    observability = recorded(configured.absolute().parent)
    health = health_of_processes(told_statuses(None))

    process = only_process(health)
    assert (process["state"], process["role"]) == ("stopped", "application")
    picky = check_account(process, "picky")
    assert picky["rejected"] == 3
    assert picky["state"] == "stopped"
    check_account(process, "(metrics)")
    store = process["store"]
    status = observability.status()["store"]
    assert store["directory"] == str(configured.absolute().parent / "j")
    assert (store["lost"], store["degraded"]) == (0, False)
    assert store["bytes"] > 0
    assert (store["events"], store["proven_events"]) == (status["events"], status["events"])
    assert store["proven"] == round(status["proven_at"] * 1e6)
    assert any("picky: 3 events were refused" in one for one in health.problems)
    assert health.notices == []


def test_process_that_writes_no_more_is_silent(configured: Path) -> None:
    recorded(configured.absolute().parent)
    told = told_statuses(None)
    told["processes"] = [{**told["processes"][0], "state": "running", "running": False}]

    assert only_process(health_of_processes(told))["state"] == "silent"


def test_without_a_state_directory_it_says_what_to_configure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config('[plugins.journal]\ndirectory = "j"\n')
    health = health_of_processes(told_statuses(None))

    assert health.processes == []
    (notice,) = health.notices
    assert "hypervisor.toml has no [state] directory. To see it, give a table [state]" in notice
    assert 'directory = "state"' in notice
    assert "hvobs serve --config FILE" in notice


def test_metrics_tell_the_same_of_this_process(tmp_path: Path) -> None:
    with scenario.observed(tmp_path / "j") as observability:
        scenario.play(observability.recorder)
        assert observability.flush(30)
        health = health_of_this_process(observability.collect_metrics(), "desk")
        size = observability.status()["store"]["bytes"]

    process = only_process(health)
    assert (process["pid"], process["service"]) == (None, "desk")
    metrics = check_account(process, "metrics")
    assert (metrics["state"], metrics["breaker"]) == ("running", "closed")
    assert (process["store"]["bytes"], process["store"]["lost"]) == (size, 0)
    assert process["store"]["proven"] is None


def test_refusals_are_told_from_metrics() -> None:
    config = Config(delivery=DeliveryConfig(interval_seconds=0.01))
    with Observability(config, plugins=[Picky()]) as observability:
        scenario.play(observability.recorder)
        observability.flush(30)
        health = health_of_this_process(observability.collect_metrics(), "desk")

    picky = check_account(only_process(health), "picky")
    assert picky["rejected"] == 3
    assert only_process(health)["store"] is None


def test_served_history_tells_how_processes_deliver(configured: Path) -> None:
    recorded(configured.absolute().parent)
    with serving("--config", configured, "--port", 0) as served:
        health = served.get("/api/health")

    assert [one["name"] for one in health["processes"][0]["plugins"]] == ["picky", "(metrics)"]
    assert health["page"]["most_events"] == 100_000


def test_served_journal_tells_of_itself_without_any_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with scenario.observed(tmp_path / "j") as observability:
        scenario.play(observability.recorder)
        observability.bus.sync()
        with serving("--journal", tmp_path / "j", "--port", 0) as served:
            history = served.get("/api/health")["history"]
        store = observability.status()["store"]

    assert history["place"] == str(tmp_path / "j")
    assert (history["runs"], history["living"]) == (1, 1)
    assert history["events"] == store["events"]
    assert history["bytes"] > 0
    assert (history["proven"], history["problems"]) == (None, [])


class Quiet:
    """A history that tells nothing of itself."""

    place = "a list"


class Broken(Quiet):
    """One that cannot tell anything at present."""

    def describe(self) -> Description:
        raise PermissionError(13, "Permission denied")

    runs = events = follow = close = describe


def test_history_that_tells_nothing_of_itself_is_left_out() -> None:
    assert history_told(cast(History, Quiet())) is None


def test_history_that_cannot_be_read_is_a_problem() -> None:
    told = history_told(cast(History, Broken()))

    assert told is not None
    assert told["runs"] is None
    assert told["problems"] == ["cannot be read: [Errno 13] Permission denied"]
