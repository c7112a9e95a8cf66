"""Alerts: of agents that need a look, and of an observability that does not see all.

Each of them fires, and each resolves once its cause is gone. ``increase`` sees neither a counter
appear, nor what it counted before the first scrape or between two that lie far apart; for a job
of seconds that may be all. So where a single event matters, a counter is compared with its last
value of the day before.
"""

import re

from hypervisor_prometheus.alert import OWN, Alert, grown, grown_anywhere
from hypervisor_prometheus.fleet_alerts import FLEET_ALERTS
from hypervisor_prometheus.yaml_text import Yaml, yaml_text

PYTHON_JOB = "agent-hypervisor"
"""What ``hvobs prometheus config`` calls the processes with the plugin."""

_AGENT = "agent_hypervisor_"
LOSSES = 'reason!~"filtered|sampled|not_replayed|deferred"'
"""Selects the reasons that are no choice of the configuration, and not made good later."""

_DROPPED = f"{OWN}events_dropped_total{{{LOSSES}}}"
_COMMENT = """\
Alerts for hypervisor-observability, written by: hvobs prometheus rules
Check them after a change with: promtool check rules FILE"""


AGENT_ALERTS = (
    Alert(
        name="HighRingBreachRate",
        promql=f"sum by (job, agent_did) (rate({_AGENT}ring_breaches_by_agent_total[5m])) > 0.5",
        holds_for="2m",
        severity="critical",
        summary="Agent {{ $labels.agent_did }} breaches its ring {{ $value | humanize }}"
        " times a second",
        description="This has lasted two minutes. The agent may be out of control, or its ring"
        " may be too narrow for its work.",
    ),
    Alert(
        name="RingBreach",
        # The alert has a label "severity" of its own.
        promql="sum by (job, breach) (label_replace("
        f"{grown_anywhere(f'{_AGENT}ring_breaches_by_severity_total', '5m')}"
        ', "breach", "$1", "severity", "(.*)"))',
        holds_for="0m",
        severity="info",
        summary="A ring was breached, severity {{ $labels.breach }}",
        description="In the last five minutes, an agent attempted at least once what its ring does"
        " not allow. hvobs query --type ring.breach_detected shows it.",
    ),
    Alert(
        name="ElevationTooLong",
        promql=f"max by (job, agent_did) ({_AGENT}ring_elevation_active_seconds) > 300",
        holds_for="1m",
        severity="warning",
        summary="Agent {{ $labels.agent_did }} elevated for over 5 minutes",
        description="It has been elevated for {{ $value | humanizeDuration }} and still is."
        " Elevations are meant to be short: check whether this one should have ended.",
    ),
    Alert(
        name="GovernanceLatencyHigh",
        promql="histogram_quantile(0.99, sum by (job, le)"
        " (rate(agent_governance_evaluation_latency_ms_bucket[5m]))) > 50",
        holds_for="5m",
        severity="warning",
        summary="Governance evaluation P99 latency exceeds 50 ms",
        description="One decision in a hundred takes {{ $value | humanize }} ms or longer;"
        " agents wait for it.",
    ),
    Alert(
        name="CompensationFailed",
        promql="sum by (job)"
        f""" {grown_anywhere(f'{_AGENT}saga_compensations_total{{status="failed"}}', "10m")}""",
        holds_for="0m",
        severity="critical",
        summary="A step of a saga could not be undone",
        description="What the step did is still there, and has to be cleaned up by hand."
        " hvobs tree, or the trace, shows which step it is.",
    ),
)

PIPELINE_ALERTS = (
    Alert(
        name="ObservabilityTargetDown",
        # Whatever the job is called: what gave these metrics within a day.
        promql=f'max by (job, instance) (up{{job="{PYTHON_JOB}"}} == 0 or up == 0'
        f" and on (job, instance) last_over_time({OWN}plugin_up[1d]))",
        holds_for="2m",
        severity="critical",
        summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        description="The process has ended or hangs, another process has its port, or it rejects"
        " the credentials. No other alert can fire for it.",
    ),
    Alert(
        name="ObservabilityMetricsMissing",
        promql=f"absent({OWN}plugin_up)",
        holds_for="10m",
        severity="warning",
        summary="No process exposes metrics of agents",
        description="No such process runs, none is scraped, or the plugin prometheus is down in"
        " all of them. No other alert can fire meanwhile.",
    ),
    Alert(
        name="ObservabilityEventsLost",
        # A plugin's counter for a reason appears with its first event.
        promql=f"sum by (job, instance, plugin, reason) {grown(_DROPPED, '10m')}",
        holds_for="0m",
        severity="critical",
        summary="{{ $labels.plugin }} has lost events ({{ $labels.reason }})",
        description='Its backend will never receive {{ $value | printf "%.0f" }} events of the last'
        " ten minutes. hvobs status, run where that process runs, shows more.",
    ),
    Alert(
        name="ObservabilityEventsRejected",
        promql=f"sum by (job, instance, plugin) {grown(f'{OWN}events_rejected_total', '10m')}",
        holds_for="0m",
        severity="warning",
        summary="The backend of {{ $labels.plugin }} refuses events",
        description="If a state directory is set, its dead-letter file keeps them, each with the"
        " reason.",
    ),
    Alert(
        name="ObservabilityBreakerOpen",
        promql=f"max by (job, instance, plugin) ({OWN}circuit_state) == 2",
        holds_for="2m",
        severity="warning",
        summary="The backend of {{ $labels.plugin }} does not answer",
        description="It has failed repeatedly. Events wait in memory or in the journal, and are"
        " lost when that is full.",
    ),
    Alert(
        name="ObservabilityPluginDown",
        promql=f"min by (job, instance, plugin) ({OWN}plugin_up) == 0",
        holds_for="1m",
        severity="critical",
        summary="The plugin {{ $labels.plugin }} is down in {{ $labels.instance }}",
        description="It delivers nothing while it is down. The log and hvobs status say why.",
    ),
    Alert(
        name="ObservabilitySourceDown",
        promql=f"min by (job, instance, source) ({OWN}source_up) == 0",
        holds_for="1m",
        severity="warning",
        summary="The source {{ $labels.source }} is down in {{ $labels.instance }}",
        description="The agents of its framework work unseen. The log and hvobs status say why."
        " Usually the source does not support this version of the framework.",
    ),
    Alert(
        name="ObservabilitySourceFailing",
        promql=f"sum by (job, instance, source) {grown(f'{OWN}source_errors_total', '10m')}",
        holds_for="0m",
        severity="warning",
        summary="Callbacks of the source {{ $labels.source }} have raised",
        description='They raised {{ $value | printf "%.0f" }} times in ten minutes: some work of'
        " agents is missing, or has no end. The log has the tracebacks.",
    ),
    Alert(
        name="ObservabilityQueueFilling",
        promql=f"max by (job, instance, plugin) ({OWN}queue_size / on (job, instance)"
        f" group_left () {OWN}queue_capacity) > 0.8",
        holds_for="5m",
        severity="warning",
        summary="{{ $labels.plugin }} is behind by {{ $value | humanizePercentage }} of the log",
        description="When the log is full, the plugin loses the oldest events. With a journal,"
        " it reads them from there instead.",
    ),
    Alert(
        name="ObservabilityJournalDegraded",
        promql=f"max by (job, instance) ({OWN}journal_degraded) == 1",
        holds_for="0m",
        severity="critical",
        summary="The events of {{ $labels.instance }} are not being journalled",
        description="The disk has failed or is full. Events are kept in memory only.",
    ),
    Alert(
        name="ObservabilityJournalIncomplete",
        promql=f"sum by (job, instance) {grown(f'{OWN}journal_lost_events_total', '10m')}",
        holds_for="0m",
        severity="critical",
        summary="The journal of {{ $labels.instance }} has a gap",
        description='It lacks {{ $value | printf "%.0f" }} events of the last ten minutes.',
    ),
    Alert(
        name="ObservabilitySeriesLimit",
        promql=f"sum by (job, metric) (increase({OWN}series_overflow_total[10m])) > 0",
        holds_for="10m",
        severity="info",
        summary="{{ $labels.metric }} no longer distinguishes all agents",
        description="It has reached its limit of series. In the table [metrics], set labels ="
        ' "production", or a higher max_series.',
    ),
)

ALERTS = (*AGENT_ALERTS, *PIPELINE_ALERTS, *FLEET_ALERTS)

_WINDOWS = re.compile(r"\[([0-9]+)m\]")

_SHORTEST_MINUTES = min(
    int(minutes) for alert in ALERTS for minutes in _WINDOWS.findall(alert.promql)
)
MAX_INTERVAL_SECONDS = _SHORTEST_MINUTES * 60 * 2 // 5
"""Longest time between two scrapes with which the alerts see what they ask for: two samples in the
shortest time that one of them looks at, even if a scrape between them fails."""


def check_interval(seconds: int) -> None:
    """Refuse an interval of scrapes with which the alerts would be blind.

    Raises:
        ValueError: It is too long, or none.
    """
    if not 1 <= seconds <= MAX_INTERVAL_SECONDS:
        raise ValueError(
            f"expected 1 to {MAX_INTERVAL_SECONDS} seconds, got {seconds}: the alerts ask for the"
            f" growth in {_SHORTEST_MINUTES} minutes, and need two scrapes in that time even"
            " if one fails"
        )


def rules_text() -> str:
    """Give the file for Prometheus' ``rule_files``."""
    groups: Yaml = [
        {"name": name, "rules": [alert.rule() for alert in alerts]}
        for name, alerts in (
            ("agent-governance", AGENT_ALERTS),
            ("agent-observability", PIPELINE_ALERTS),
            ("agent-fleet", FLEET_ALERTS),
        )
    ]
    return yaml_text({"groups": groups}, _COMMENT)
