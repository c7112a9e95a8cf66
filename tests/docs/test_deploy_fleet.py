"""The files for a fleet in Docker fit each other, the server and the code."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hypervisor_nats import NatsConfig, NatsPlugin
from hypervisor_observability.config import load_config
from hypervisor_observability.host.plugin import Plugin
from hypervisor_observability.host.plugins import load_plugins
from hypervisor_prometheus import PrometheusPlugin
from tests.plugins.nats.servers import server_program
from tests.programs import found_or_skip, run

ROOT = Path(__file__).parents[2]
FLEET = ROOT / "docs" / "deploy" / "fleet"
COMPOSE = yaml.safe_load((FLEET / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("nats-1", "nats-2", "nats-3")
AGENTS = ("agent-1", "agent-2")


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_PASSWORD", "of-this-test")


def plugins_of(name: str, folder: Path) -> dict[str, Plugin]:
    path = Path(shutil.copy(FLEET / name, folder))
    path.chmod(0o600)
    loaded, problems = load_plugins(load_config(path))
    assert problems == []
    return {plugin.name: plugin for plugin in loaded}


def fleet_config(name: str, folder: Path) -> NatsConfig:
    instance = plugins_of(name, folder)["nats"].instance
    assert isinstance(instance, NatsPlugin)
    return instance.config


def test_services_are_there_start_again_and_wait_for_what_they_need() -> None:
    assert set(SERVICES) == {*SERVERS, *AGENTS, "init", "prometheus"}
    for name, service in SERVICES.items():
        assert service["restart"] == ("on-failure" if name == "init" else "unless-stopped")
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        if "build" in service:
            assert (FLEET / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    for name in AGENTS:
        assert SERVICES[name]["depends_on"] == {
            "init": {"condition": "service_completed_successfully"}
        }


def test_server_takes_its_configuration_which_syncs_before_it_acknowledges() -> None:
    done = run([server_program(), "-t", "-c", FLEET / "nats.conf"], env=dict(os.environ))
    text = (FLEET / "nats.conf").read_text("utf-8")

    assert done.returncode == 0, done.stderr
    assert "sync_interval: always" in text
    assert set(re.findall(r"nats://([\w-]+):6222", text)) == set(SERVERS)


def test_agents_and_applications_know_all_servers(tmp_path: Path) -> None:
    agent = fleet_config("hypervisor.toml", tmp_path)
    application = fleet_config("application.toml", tmp_path)
    published = {
        f"nats://127.0.0.1:{port.split(':')[1]}"
        for name in SERVERS
        for port in SERVICES[name]["ports"]
    }

    assert agent.servers == tuple(f"nats://{name}:4222" for name in SERVERS)
    assert agent.journal is None
    assert set(application.servers) == published
    assert application.journal is not None
    for config in (agent, application):
        assert config.user == "fleet"
        assert config.password is not None
        assert config.password.reveal() == "of-this-test"


def test_prometheus_asks_both_agents_and_has_the_alerts(tmp_path: Path) -> None:
    plugin = plugins_of("hypervisor.toml", tmp_path)["prometheus"].instance
    assert isinstance(plugin, PrometheusPlugin)
    prometheus = yaml.safe_load((FLEET / "prometheus.yml").read_text("utf-8"))
    (targets,) = (one["targets"] for one in prometheus["scrape_configs"][0]["static_configs"])

    assert targets == [f"{name}:{plugin.config.port}" for name in AGENTS]
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert set(prometheus["rule_files"]) <= mounted


def test_everything_that_is_mounted_exists_and_every_port_is_of_this_machine() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FLEET / source).exists(), source
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_password_is_asked_for_and_written_nowhere() -> None:
    for name in (*SERVERS, *AGENTS):
        assert SERVICES[name]["environment"]["NATS_PASSWORD"].startswith("${NATS_PASSWORD:?")
    dockerfile = (FLEET / ".." / "agent" / "Dockerfile").read_text("utf-8")
    assert "COPY plugins/nats " in dockerfile


@pytest.mark.backend
def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    how = "Install Debian's prometheus."
    promtool = found_or_skip("promtool", lambda: shutil.which("promtool"), how)
    text = (FLEET / "prometheus.yml").read_text("utf-8")
    checked = tmp_path / "prometheus.yml"
    checked.write_text(text.replace("/etc/prometheus", str(FLEET.parent / "prometheus")))

    done = run([promtool, "check", "config", checked])

    assert done.returncode == 0, done.stdout + done.stderr
