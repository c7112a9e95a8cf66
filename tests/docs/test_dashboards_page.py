"""The page of the dashboards lists every alert and every option; no other."""

import re
from pathlib import Path

from hypervisor_prometheus.alerts import ALERTS
from hypervisor_prometheus.commands import commands
from hypervisor_prometheus.config import PrometheusConfig

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "dashboards.md").read_text("utf-8")
UNITS = {"m": "minute"}


def test_page_lists_every_alert_with_its_severity_and_time() -> None:
    told = re.findall(r"^\| `([A-Z]\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    alerts = ALERTS

    assert [row[:2] for row in told] == [(alert.name, alert.severity) for alert in alerts]
    for (_, _, when), alert in zip(told, alerts, strict=True):
        minutes = int(alert.holds_for.removesuffix("m"))
        waits = re.search(r", for (\d+) minutes?$", when)
        assert minutes == (int(waits[1]) if waits else 0), alert.name


def test_page_lists_every_option_of_the_commands() -> None:
    told = set(re.findall(r"^\| `(--[a-z]+)", PAGE, re.MULTILINE))
    there = {
        option
        for command in commands(PrometheusConfig())
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }

    assert told == there
