"""``hvobs prometheus ...`` writes files for Prometheus and Grafana."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from hypervisor_prometheus.dashboards import agents_dashboard, pipeline_dashboard
from hypervisor_prometheus.dashboards.timelines import TraceBackend
from tests.commands import run_hvobs
from tests.configurations import write_config


def run(*arguments: str, code: int = 0) -> Result:
    result = run_hvobs("prometheus", *arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def use_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the commands find a configuration with this table."""
    monkeypatch.chdir(tmp_path)

    def use(table: str) -> None:
        write_config(f"[plugins.prometheus]\n{table}\n", tmp_path / "hypervisor.toml")

    return use


def job_of(text: str) -> dict[str, Any]:
    """Give the first job of a configuration for Prometheus."""
    found: dict[str, Any] = yaml.safe_load(text)["scrape_configs"][0]
    return found


def test_dashboards_are_written_as_json() -> None:
    assert json.loads(run("dashboard").stdout) == agents_dashboard()
    assert json.loads(run("dashboard", "agents").stdout) == agents_dashboard()
    assert json.loads(run("dashboard", "pipeline").stdout) == pipeline_dashboard()
    for_tempo = run("dashboard", "--traces", "tempo", "--service", "checkout").stdout
    assert json.loads(for_tempo) == agents_dashboard(traces=TraceBackend.TEMPO, service="checkout")


def test_unknown_dashboard_is_refused_by_name() -> None:
    assert "'agents', 'pipeline'" in run("dashboard", "sagas", code=2).stderr


def test_rules_are_written_as_yaml() -> None:
    groups = yaml.safe_load(run("rules").stdout)["groups"]

    assert [group["name"] for group in groups] == [
        "agent-governance",
        "agent-observability",
        "agent-fleet",
    ]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    assert {"HighRingBreachRate", "ElevationTooLong", "GovernanceLatencyHigh"} <= set(names)
    assert len(set(names)) == len(names)


def test_configuration_scrapes_python_and_dotnet_side_by_side() -> None:
    config = yaml.safe_load(run("config").stdout)

    assert [
        (job["job_name"], job["static_configs"][0]["targets"]) for job in config["scrape_configs"]
    ] == [
        ("agent-hypervisor", ["127.0.0.1:9464"]),
        ("agent-governance", ["localhost:5000"]),
    ]
    assert "rule_files" not in config
    assert "alerting" not in config


def test_configuration_takes_everything_from_options() -> None:
    config = yaml.safe_load(
        run(
            *("config", "--python", "a:1", "--python", "b:2", "--dotnet", "c:3"),
            *("--rules", "rules.yml", "--alertmanager", "d:9093", "--interval", "5"),
        ).stdout
    )

    targets = [job["static_configs"][0]["targets"] for job in config["scrape_configs"]]
    assert targets == [["a:1", "b:2"], ["c:3"]]
    assert config["rule_files"] == ["rules.yml"]
    assert config["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["d:9093"]}]}]}
    assert config["global"] == {"scrape_interval": "5s", "evaluation_interval": "5s"}


@pytest.mark.parametrize("interval", ["121", "300", "600", "0", "-1"])
def test_interval_with_which_the_rules_would_be_blind_is_refused_with_the_reason(
    interval: str,
) -> None:
    told = " ".join(run("config", "--interval", interval, code=2).stderr.split())

    assert f"expected 1 to 120 seconds, got {interval}" in told
    assert "growth in 5 minutes" in told
    assert "scrape_interval: 2m" not in told
    assert yaml.safe_load(run("config", "--interval", "120").stdout)


@pytest.mark.parametrize(
    ("table", "target"),
    [
        ("port = 9000", "127.0.0.1:9000"),
        ('host = "::1"', "[::1]:9464"),
        ('host = "0.0.0.0"\nallow_remote = true', "localhost:9464"),
        ('host = "agents.example"\nallow_remote = true', "agents.example:9464"),
    ],
)
def test_configuration_scrapes_where_the_table_says(
    use_config: Any, table: str, target: str
) -> None:
    use_config(table)

    assert job_of(run("config").stdout)["static_configs"] == [{"targets": [target]}]


def test_no_secret_is_written_but_the_file_for_it_is_named(use_config: Any) -> None:
    use_config(
        'password = "hush"\nusername = "reader"\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n'
        'tls_client_authority = "ca.pem"'
    )
    text = run("config").stdout
    assert "hush" not in text
    job = job_of(text)
    assert job["basic_auth"] == {
        "username": "reader",
        "password_file": "/etc/prometheus/agents-password",
    }
    assert job["scheme"] == "https"
    assert set(job["tls_config"]) == {"ca_file", "cert_file", "key_file"}

    use_config('bearer_token = "hush"\ntls_certificate = "c.pem"\ntls_key = "k.pem"')
    text = run("config").stdout
    assert "hush" not in text
    job = job_of(text)
    assert job["authorization"] == {"credentials_file": "/etc/prometheus/agents-token"}
    assert set(job["tls_config"]) == {"ca_file"}
