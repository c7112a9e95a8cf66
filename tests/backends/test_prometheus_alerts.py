"""Every alert fires, waits as long as it says, and resolves; one goes all the way to a webhook."""

import json
import re
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from hypervisor_observability import EventType, Observability
from hypervisor_prometheus import PrometheusConfig, PrometheusPlugin
from hypervisor_prometheus.alerts import (
    ALERTS,
    MAX_INTERVAL_SECONDS,
    rules_text,
)
from hypervisor_prometheus.scraping import Scraped, scrape_config_text
from tests.backends.alert_stories import (
    COMPENSATIONS,
    DROPPED,
    NATS,
    OWN,
    PLUGIN,
    SEVERITIES,
    STORIES,
    Story,
)
from tests.backends.servers import PrometheusServer
from tests.http_servers import Handler, serving
from tests.programs import run
from tests.waiting import wait_until

pytestmark = pytest.mark.backend
BY_NAME = {alert.name: alert for alert in ALERTS}
ARRIVAL_SECONDS = 90


def expected(story: Story) -> dict[str, Any]:
    """Give the alert as promtool is to find it, its templates filled in."""
    alert = BY_NAME[story.alert]

    def filled(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: story.labels[match[1]], text)
        return re.sub(r"\{\{ \$value \| [^}]+ \}\}", story.value, text)

    return {
        "exp_labels": {**story.labels, "severity": alert.severity},
        "exp_annotations": {
            "summary": filled(alert.summary),
            "description": filled(alert.description),
        },
    }


@pytest.mark.parametrize("minutes", [11, 60, 23 * 60])
@pytest.mark.parametrize("interval_seconds", [1, 15, 60, MAX_INTERVAL_SECONDS])
def test_nothing_fires_for_what_a_gap_in_the_scrapes_has_not_changed(
    minutes: int,
    interval_seconds: int,
    prometheus_program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    samples = max(20, 1_200 // interval_seconds)
    gap = minutes * 60 // interval_seconds
    end = samples * interval_seconds + minutes * 60
    counters = (
        DROPPED,
        f"{OWN}events_rejected_total{{{PLUGIN}}}",
        f'{OWN}journal_lost_events_total{{job="a",instance="i"}}',
        f'{COMPENSATIONS}{{job="a",status="failed"}}',
        f'{SEVERITIES}{{job="a",severity="high"}}',
        f'{NATS}expired_events_total{{{PLUGIN},partition="1"}}',
    )
    (tmp_path / "rules.yml").write_text(rules_text())
    names = (
        "ObservabilityEventsLost",
        "ObservabilityEventsRejected",
        "ObservabilityJournalIncomplete",
        "CompensationFailed",
        "RingBreach",
        "ObservabilityFleetExpired",
    )
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{max(60, interval_seconds)}s",
        "tests": [
            {
                "interval": f"{interval_seconds}s",
                "input_series": [
                    {"series": one, "values": f"5x{samples} _x{gap} 5x{samples}"}
                    for one in counters
                ],
                "alert_rule_test": [
                    {"alertname": name, "eval_time": f"{end + after}s"}
                    for name in names
                    for after in (0, 120, 300, 600, 900)
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    done = run(
        [prometheus_program("promtool"), "test", "rules", "tests.yml"], timeout=200, cwd=tmp_path
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_tells_things_apart_by_a_label_that_it_sets_itself() -> None:
    for alert in ALERTS:
        rule: Any = alert.rule()
        for names in re.findall(r"by \(([^)]*)\)", alert.promql):
            assert set(rule["labels"]).isdisjoint(names.split(", ")), alert.name


def test_longest_interval_leaves_two_samples_in_every_window() -> None:
    windows = [
        60 * int(minutes) for alert in ALERTS for minutes in re.findall(r"\[(\d+)m\]", alert.promql)
    ]

    assert windows
    # One of them may be that of a scrape that failed.
    assert min(windows) // MAX_INTERVAL_SECONDS >= 2


def test_every_alert_has_a_story() -> None:
    assert {story.alert for story in STORIES} == set(BY_NAME)


def test_promtool_accepts_the_rules(
    prometheus_program: Callable[[str], str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(rules_text())
    done = run([prometheus_program("promtool"), "check", "rules", rules])

    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(ALERTS)} rules found" in done.stdout


@pytest.mark.parametrize(
    "story", STORIES, ids=[f"{story.alert}-{place}" for place, story in enumerate(STORIES)]
)
def test_alert_waits_fires_and_resolves(
    story: Story, prometheus_program: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(rules_text())
    alone = {"alertname": story.alert}
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": name, "values": values} for name, values in story.series.items()
                ],
                "alert_rule_test": [
                    *({**alone, "eval_time": moment, "exp_alerts": []} for moment in story.quiet),
                    {**alone, "eval_time": story.fires, "exp_alerts": [expected(story)]},
                    {**alone, "eval_time": story.resolved, "exp_alerts": []},
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    done = run([prometheus_program("promtool"), "test", "rules", "tests.yml"], cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@frozen
class Webhook:
    """Keeps what Alertmanager tells."""

    port: int
    told: list[dict[str, Any]]

    def statuses(self, alert: str) -> set[str]:
        return {
            one["status"]
            for message in list(self.told)
            for one in message["alerts"]
            if one["labels"]["alertname"] == alert
        }


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    told: list[dict[str, Any]] = []

    class Keeping(Handler):
        def do_POST(self) -> None:
            told.append(json.loads(self.body()))
            self.answer()

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Keeping)) as port:
        yield Webhook(port, told)


@pytest.mark.slow
def test_lone_breach_reaches_a_webhook_through_alertmanager(
    configure_prometheus: Callable[..., PrometheusServer],
    start_alertmanager: Callable[[str], int],
    webhook: Webhook,
) -> None:
    alertmanager = start_alertmanager(
        json.dumps(
            {
                "route": {
                    "receiver": "hook",
                    "group_wait": "1s",
                    "group_interval": "1s",
                    "group_by": ["alertname"],
                },
                "receivers": [
                    {
                        "name": "hook",
                        "webhook_configs": [{"url": f"http://127.0.0.1:{webhook.port}/"}],
                    }
                ],
            }
        )
    )
    plugin = PrometheusPlugin(PrometheusConfig(port=0))
    with Observability(plugins=[plugin]) as observability:
        scraped = Scraped(
            python=[f"127.0.0.1:{plugin.port}"],
            dotnet=[],
            rules=["rules.yml"],
            alertmanagers=[f"127.0.0.1:{alertmanager}"],
            interval_seconds=1,
        )
        config = scrape_config_text(scraped, PrometheusConfig())
        server = configure_prometheus(config, rules=rules_text())
        # A counter has to be seen at zero before its growth is.
        zero = f"{SEVERITIES}{{severity='critical'}}"
        wait_until(lambda: server.value(zero) == 0, timeout=ARRIVAL_SECONDS)
        observability.bus.record(
            EventType.RING_BREACH_DETECTED,
            agent_did="did:mesh:a",
            payload={"severity": "critical"},
        )
        wait_until(lambda: webhook.statuses("RingBreach"), timeout=ARRIVAL_SECONDS)

    assert webhook.statuses("RingBreach") == {"firing"}
    (alert,) = {
        json.dumps(one["annotations"]["summary"])
        for message in webhook.told
        for one in message["alerts"]
    }
    assert alert == '"A ring was breached, severity critical"'
