"""The files for Docker are what the commands write, and fit each other and the code."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hypervisor_journal import JournalPlugin
from hypervisor_observability.config import load_config
from hypervisor_observability.host.plugins import load_plugins
from hypervisor_prometheus.alerts import PYTHON_JOB
from hypervisor_prometheus.dashboards import agents_dashboard
from tests.commands import run_hvobs
from tests.programs import found_or_skip, run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
GENERATED = re.compile(r"^hvobs (.*?) >(\S+)$", re.MULTILINE)
# What each image listens on, by its own documentation.
IMAGE_PORTS = {"prometheus": {9090}, "alertmanager": {9093}, "grafana": {3000}}
JAEGER_PORTS = {4317, 4318, 16686}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


COMPOSE = read("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def commands_of_the_script() -> list[tuple[list[str], Path]]:
    script = (DEPLOY / "generate.sh").read_text("utf-8").replace("\\\n", " ")
    return [(line.split(), DEPLOY / target) for line, target in GENERATED.findall(script)]


def agent_config(tmp_path: Path) -> Path:
    path = tmp_path / "hypervisor.toml"
    shutil.copy(DEPLOY / "agent" / "hypervisor.toml", path)
    path.chmod(0o600)
    return path


def mounts(service: str) -> list[tuple[str, str]]:
    return [
        (source, target)
        for volume in SERVICES[service].get("volumes", ())
        for source, target, *_ in [volume.split(":")]
    ]


@pytest.mark.parametrize(
    ("arguments", "file"),
    commands_of_the_script(),
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_generated_files_are_up_to_date(
    arguments: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_hvobs(*arguments)

    assert result.exit_code == 0, result.output
    assert file.read_text("utf-8") == result.stdout, "run docs/deploy/generate.sh"


def test_script_writes_five_files_and_is_executable() -> None:
    assert len(commands_of_the_script()) == 5
    assert (DEPLOY / "generate.sh").stat().st_mode & 0o111


def test_services_are_of_images_with_versions_and_start_again() -> None:
    assert set(SERVICES) == {"agent", "prometheus", "alertmanager", "jaeger", "grafana"}
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped"
        if name == "agent":
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
        assert set(service.get("depends_on", ())) <= set(SERVICES)


# Before these, known holes were open: CVE-2025-4123 and CVE-2025-41115 in Grafana among them.
LEAST_VERSIONS = {
    "prometheus": (3, 5, 0),
    "alertmanager": (0, 28, 1),
    "jaeger": (2, 10, 0),
    "grafana": (12, 3, 0),
}


def test_no_image_is_older_than_the_fixes_that_it_needs() -> None:
    for name, least in LEAST_VERSIONS.items():
        version = SERVICES[name]["image"].rpartition(":")[2].removeprefix("v")
        assert tuple(map(int, version.split("."))) >= least, name


def test_grafana_has_no_password_that_anybody_knows_and_no_guests() -> None:
    environment = SERVICES["grafana"]["environment"]

    assert re.fullmatch(r"\$\{\w+:\?.+\}", environment["GF_SECURITY_ADMIN_PASSWORD"])
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert "GRAFANA_PASSWORD" in (DEPLOY / "README.md").read_text("utf-8")


def test_no_secret_is_written_into_the_files() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET|KEY", key):
                assert value.startswith("${"), (name, key)
                assert ":-" not in value, (name, key)


def test_everything_that_is_mounted_exists() -> None:
    named = set(COMPOSE["volumes"])
    for service in SERVICES:
        for source, _ in mounts(service):
            assert source in named or (DEPLOY / source).exists(), source


def test_ports_are_open_to_this_machine_alone() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            address, outside, inside = port.split(":")
            assert address == "127.0.0.1"
            assert outside == inside
            assert int(inside) in IMAGE_PORTS.get(name, JAEGER_PORTS)


def test_agents_configuration_is_one_and_fits_its_container(tmp_path: Path) -> None:
    config = load_config(agent_config(tmp_path))
    loaded, problems = load_plugins(config)

    assert problems == []
    directories = {
        one.name: one.instance.config.directory
        for one in loaded
        if isinstance(one.instance, JournalPlugin)
    }
    assert ("./journal", str(directories["journal"])) in mounts("agent")
    assert "/etc/hypervisor/hypervisor.toml" in SERVICES["agent"]["command"]
    dockerfile = (DEPLOY / "agent" / "Dockerfile").read_text("utf-8")
    for name in (one.name for one in loaded):
        assert f"COPY plugins/{name} " in dockerfile
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (ROOT / source / "pyproject.toml").is_file()
        assert f"/src/{source}" in dockerfile


def test_applications_journal_where_the_agent_reads(tmp_path: Path) -> None:
    path = tmp_path / "application.toml"
    shutil.copy(DEPLOY / "application.toml", path)
    path.chmod(0o600)
    config = load_config(path)

    (loaded,), problems = load_plugins(config)

    assert problems == []
    assert isinstance(loaded.instance, JournalPlugin)
    assert loaded.instance.config.directory == tmp_path / "journal"
    assert (DEPLOY / "journal").is_dir()


def test_names_and_ports_between_the_services_fit(tmp_path: Path) -> None:
    config = load_config(agent_config(tmp_path))
    ports = {
        **IMAGE_PORTS,
        "jaeger": JAEGER_PORTS,
        "agent": {config.plugins["prometheus"].values["port"]},
    }
    prometheus = read("prometheus/prometheus.yml")
    named = [
        target
        for job in (*prometheus["scrape_configs"], *prometheus["alerting"]["alertmanagers"])
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    sources = read("grafana/provisioning/datasources/sources.yml")["datasources"]
    named += [source["url"].removeprefix("http://") for source in sources]
    named.append(config.plugins["jaeger"].values["endpoint"].removeprefix("http://"))
    outside = "host.docker.internal"
    assert any(line.startswith(outside) for line in SERVICES["prometheus"]["extra_hosts"])

    assert len(named) == 6
    for address in named:
        host, _, port = address.partition(":")
        assert host == outside or int(port) in ports[host], address


def test_grafana_finds_dashboards_and_sources() -> None:
    (provider,) = read("grafana/provisioning/dashboards/boards.yml")["providers"]
    folder = provider["options"]["path"]
    assert ("./grafana/dashboards", folder) in mounts("grafana")
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    shown = json.loads((DEPLOY / "grafana" / "dashboards" / home.name).read_text("utf-8"))
    assert shown["uid"] == agents_dashboard()["uid"]

    sources = read("grafana/provisioning/datasources/sources.yml")["datasources"]
    types = {source["uid"]: source["type"] for source in sources}
    assert types == {"prometheus": "prometheus", "jaeger": "jaeger"}
    (destination,) = sources[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert destination["datasourceUid"] in types
    asked = {
        variable["query"]
        for variable in shown["templating"]["list"]
        if variable["type"] == "datasource"
    }
    assert asked == set(types.values())


def test_rules_and_exemplars_are_where_prometheus_looks() -> None:
    config = read("prometheus/prometheus.yml")
    targets = {target for _, target in mounts("prometheus")}

    assert set(config["rule_files"]) <= targets
    assert config["scrape_configs"][0]["job_name"] == PYTHON_JOB
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


def test_every_receiver_of_alerts_is_there() -> None:
    config = read("alertmanager/alertmanager.yml")
    receivers = {receiver["name"] for receiver in config["receivers"]}
    alerts = {
        rule["alert"] for group in read("prometheus/rules.yml")["groups"] for rule in group["rules"]
    }

    assert {config["route"]["receiver"]} | {
        route["receiver"] for route in config["route"]["routes"]
    } == receivers
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            assert set(re.findall(r"Observability\w+", matcher)) <= alerts


def test_links_of_the_page_lead_somewhere() -> None:
    text = (DEPLOY / "README.md").read_text("utf-8")

    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (DEPLOY / target).exists(), target


@pytest.mark.backend
def test_promtool_and_amtool_accept_the_files(tmp_path: Path) -> None:
    how = "Install Debian's prometheus and prometheus-alertmanager."
    promtool = found_or_skip("promtool", lambda: shutil.which("promtool"), how)
    amtool = found_or_skip("amtool", lambda: shutil.which("amtool"), how)
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    checked = tmp_path / "prometheus.yml"
    checked.write_text(config.replace("/etc/prometheus", str(DEPLOY / "prometheus")))
    receivers = DEPLOY / "alertmanager" / "alertmanager.yml"

    for command in (
        [promtool, "check", "config", str(checked)],
        [amtool, "check-config", str(receivers)],
    ):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr
    asked = [amtool, "config", "routes", "test", f"--config.file={receivers}"]
    for severity, receiver in (
        ("critical", "on-call"),
        ("warning", "shown-only"),
        ("info", "shown-only"),
    ):
        done = run([*asked, f"severity={severity}"])
        assert done.stdout.strip() == receiver
