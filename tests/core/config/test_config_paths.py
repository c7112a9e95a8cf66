"""Relative paths start at the working directory of the moment at which a configuration is made."""

import inspect
import typing
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest

from hypervisor_observability import Config, EventType, Observability
from hypervisor_observability.config import StateConfig, plugin_tables, settings
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.host.plugins import load_plugins
from tests.programs import run_python

OURS = ("jaeger", "journal", "otel", "prometheus", "statsd")


def configuration_classes() -> Iterator[type]:
    for module in (settings, plugin_tables):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if attrs.has(found) and found.__name__.endswith("Config"):
                yield found
    for point in entry_points(group="hypervisor.observability"):
        if point.name in OURS:
            yield point.load().Config


def path_fields() -> list[Any]:
    found = []
    for config in sorted(set(configuration_classes()), key=lambda one: one.__name__):
        hints = typing.get_type_hints(config)
        for field in attrs.fields(config):
            hint = hints[field.name]
            if hint is Path or Path in typing.get_args(hint):
                found.append(pytest.param(config, field, id=f"{config.__name__}.{field.name}"))
    return found


FIELDS = path_fields()


def test_all_fields_that_hold_paths_are_looked_at() -> None:
    names = {one.id for one in FIELDS}

    assert names >= {
        "JaegerConfig.ca_file",
        "JaegerConfig.upload_file",
        "JournalConfig.anchor_file",
        "JournalConfig.anchor_key_file",
        "JournalConfig.directory",
        "OTelConfig.ca_file",
        "PrometheusConfig.textfile",
        "PrometheusConfig.tls_key",
        "StateConfig.directory",
        "StatsDConfig.socket",
    }


@pytest.mark.parametrize(("config", "field"), FIELDS)
def test_every_field_that_holds_a_path_makes_it_absolute(
    config: type, field: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert field.converter is not None, f"{config.__name__}.{field.name}"
    for given in ("x.prom", Path("x.prom")):
        assert field.converter(given) == tmp_path / "x.prom"
    assert field.converter("/x") == Path("/x")


def test_whole_configurations_keep_where_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        state=StateConfig(directory="state"),
        plugins={
            "journal": {"directory": "journal", "anchor_file": "anchors"},
            "jaeger": {"upload_file": "spans.json"},
            "prometheus": {"serve": False, "textfile": Path("job.prom")},
        },
    )
    monkeypatch.chdir("/")
    loaded, problems = load_plugins(config)
    plugins: dict[str, Any] = {one.name: one.instance for one in loaded}

    assert problems == []
    assert plugins["journal"].config.directory == tmp_path / "journal"
    assert plugins["journal"].config.anchor_file == tmp_path / "anchors"
    assert config.state.directory == tmp_path / "state"
    assert plugins["jaeger"].config.upload_file == tmp_path / "spans.json"
    assert plugins["prometheus"].config.textfile == tmp_path / "job.prom"


def test_agent_keeps_where_its_journal_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    agent = Agent(Config(plugins={"journal": {"directory": Path("journal")}}))
    monkeypatch.chdir("/")

    assert agent.followed.place == str(tmp_path / "journal")


def test_daemon_that_changes_its_directory_journals_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        state=StateConfig(directory=Path("state")),
        plugins={"journal": {"directory": Path("journal"), "segment_bytes": 65_536}},
    )
    with Observability(config) as observability:
        monkeypatch.chdir("/")
        for _ in range(2_000):
            observability.bus.record(EventType.VFS_WRITE, payload={"text": "x" * 50})
        assert observability.bus.sync()
        status = observability.status()

    assert status["store"]["lost"] == 0
    assert len([*(tmp_path / "state" / "status").iterdir()]) == 1
    assert len([*(tmp_path / "journal").rglob("*.hvj")]) > 1


GONE = """
import asyncio, os, shutil, sys  # asyncio here: 3.13.0 cannot import it from nowhere
os.chdir(sys.argv[1])
shutil.rmtree(sys.argv[1])
from hypervisor_observability import Config, Observability
with Observability(Config(plugins={"prometheus": {"port": 0}})) as observability:
    print(observability.states())
"""


def test_process_without_a_working_directory_needs_none(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    done = run_python(GONE, folder, cwd="/")

    assert done.stdout == "{'prometheus': 'running'}\n", done.stderr
