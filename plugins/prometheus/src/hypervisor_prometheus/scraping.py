"""The configuration that has Prometheus scrape Python and .NET side by side."""

from collections.abc import Sequence
from typing import Any

from attrs import Attribute, field, frozen

from hypervisor_prometheus.alerts import PYTHON_JOB, check_interval
from hypervisor_prometheus.config import PrometheusConfig
from hypervisor_prometheus.yaml_text import yaml_text

DOTNET_JOB = "agent-governance"

DOTNET_TARGET = "localhost:5000"
"""Where an ASP.NET application listens unless told otherwise."""

_COMMENT = """\
For Prometheus, written by: hvobs prometheus config
Check it after a change with: promtool check config FILE
Start Prometheus with --enable-feature=exemplar-storage, so that numbers lead to traces."""

# OpenTelemetry's exporter for .NET appends the unit that the name abbreviates already.
_DOTNET_LATENCY = "agent_governance_evaluation_latency_ms"
_ONE_NAME = {
    "source_labels": ["__name__"],
    "regex": f"{_DOTNET_LATENCY}_milliseconds_(bucket|sum|count)",
    "target_label": "__name__",
    "replacement": f"{_DOTNET_LATENCY}_$1",
}
# The governance metrics name the agent agent_id, all others agent_did.
_ONE_AGENT = {
    "source_labels": ["agent_id"],
    "regex": "(.+)",
    "target_label": "agent_did",
    "replacement": "$1",
}


@frozen
class Scraped:
    """What Prometheus scrapes, and what it does with it.

    Attributes:
        python: Addresses of processes with the plugin, ``host:port``.
        dotnet: Addresses of .NET applications with the package's governance metrics.
        rules: Files of rules.
        alertmanagers: Addresses of Alertmanagers.
        interval_seconds: How often; as ``check_interval`` allows.
    """

    python: Sequence[str]
    dotnet: Sequence[str]
    rules: Sequence[str] = ()
    alertmanagers: Sequence[str] = ()
    interval_seconds: int = field(default=15)

    @interval_seconds.validator
    def _check_interval(self, _: "Attribute[int]", seconds: int) -> None:
        check_interval(seconds)


def scrape_config_text(scraped: Scraped, config: PrometheusConfig) -> str:
    """Give Prometheus' configuration file.

    No secret is written into it: it names the files to put them in.

    Args:
        scraped: What is scraped.
        config: How the Python processes serve: their TLS and credentials.
    """
    interval = f"{scraped.interval_seconds}s"
    jobs = []
    if scraped.python:
        jobs.append(_job(PYTHON_JOB, scraped.python, [_ONE_AGENT]) | _access(config))
    if scraped.dotnet:
        jobs.append(_job(DOTNET_JOB, scraped.dotnet, [_ONE_NAME, _ONE_AGENT]))
    whole: dict[str, Any] = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
    }
    if scraped.rules:
        whole["rule_files"] = list(scraped.rules)
    if scraped.alertmanagers:
        static = [{"static_configs": [{"targets": list(scraped.alertmanagers)}]}]
        whole["alerting"] = {"alertmanagers": static}
    return yaml_text(whole | {"scrape_configs": jobs}, _COMMENT)


def _job(name: str, targets: Sequence[str], relabelled: Sequence[Any]) -> dict[str, Any]:
    return {
        "job_name": name,
        "static_configs": [{"targets": list(targets)}],
        "metric_relabel_configs": list(relabelled),
    }


def _access(config: PrometheusConfig) -> dict[str, Any]:
    access: dict[str, Any] = {}
    if config.tls_certificate is not None:
        tls = {"ca_file": "/etc/prometheus/agents-ca.pem"}
        if config.tls_client_authority is not None:
            tls |= {
                "cert_file": "/etc/prometheus/client.pem",
                "key_file": "/etc/prometheus/client.key",
            }
        access |= {"scheme": "https", "tls_config": tls}
    if config.bearer_token is not None:
        access["authorization"] = {"credentials_file": "/etc/prometheus/agents-token"}
    elif config.password is not None:
        access["basic_auth"] = {
            "username": config.username,
            "password_file": "/etc/prometheus/agents-password",
        }
    return access
