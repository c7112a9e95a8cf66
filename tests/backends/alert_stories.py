"""What each alert is to say of series, as promtool reads them."""

from typing import Any

from attrs import field, frozen

OWN = "agent_hypervisor_observability_"
PLUGIN = 'job="a",instance="i",plugin="otel"'
SOURCE = 'job="a",instance="i",source="langchain"'


@frozen
class Story:
    """What is scraped every 15 seconds, and what becomes of one alert.

    Attributes:
        alert: Its name.
        series: Series to their values, in promtool's notation: among them some that are fine.
        quiet: When it does not fire, before its cause or while it waits.
        fires: When it fires, for one thing alone.
        labels: Those of that thing.
        value: As the annotations write it.
        resolved: When it fires no more.
    """

    alert: str
    series: dict[str, str]
    quiet: tuple[str, ...]
    fires: str
    labels: dict[str, str]
    resolved: str
    value: str = field(default="")


def at_once(alert: str, resolved: str = "14m", **others: Any) -> Story:
    """Tell of what happens in the second minute, of an alert that does not wait."""
    return Story(alert, quiet=("1m",), fires="3m", resolved=resolved, **others)


def after_a_gap(alert: str, resolved: str = "46m", **others: Any) -> Story:
    """Tell of counters that are ``AFTER_A_GAP``, of an alert that does not wait."""
    return Story(alert, quiet=("14m", "20m"), fires="36m", resolved=resolved, **others)


BREACHES = "agent_hypervisor_ring_breaches_by_agent_total"
ELEVATED = "agent_hypervisor_ring_elevation_active_seconds"
LATENCY = "agent_governance_evaluation_latency_ms_bucket"
COMPENSATIONS = "agent_hypervisor_saga_compensations_total"
SEVERITIES = "agent_hypervisor_ring_breaches_by_severity_total"
NATS = f"{OWN}nats_"
IN_PARTITION = {"job": "a", "plugin": "otel", "partition": "3"}
OF_PLUGIN = {"job": "a", "instance": "i", "plugin": "otel"}
OF_SOURCE = {"job": "a", "instance": "i", "source": "langchain"}
OF_PROCESS = {"job": "a", "instance": "i"}
# A counter of long ago, twenty minutes without a scrape, then what it was, or more.
AFTER_A_GAP = "5x60 _x80 {}x80"
DROPPED = f'{OWN}events_dropped_total{{{PLUGIN},reason="full"}}'
STORIES = [
    Story(
        alert="HighRingBreachRate",
        series={
            # Five quiet minutes, ten with a breach a second, then none.
            f'{BREACHES}{{job="a",agent_did="did:wild"}}': "0x19 0+15x40 600x60",
            f'{BREACHES}{{job="a",agent_did="did:calm"}}': "0+6x120",
        },
        quiet=("4m", "8m"),
        fires="15m",
        labels={"job": "a", "agent_did": "did:wild"},
        value="1",
        resolved="21m",
    ),
    at_once(
        alert="RingBreach",
        series={
            f'{SEVERITIES}{{job="a",severity="high"}}': "0x7 1x60",
            f'{SEVERITIES}{{job="a",severity="low"}}': "0x70",
        },
        labels={"job": "a", "breach": "high"},
        resolved="9m",
    ),
    at_once(
        alert="RingBreach",
        series={
            # It had happened when the process was scraped for the first time.
            f'{SEVERITIES}{{job="a",severity="low"}}': "_x7 1x60",
            f'{SEVERITIES}{{job="a",severity="high"}}': "_x7 0x60",
        },
        labels={"job": "a", "breach": "low"},
        resolved="9m",
    ),
    Story(
        # Of two severities at once, of which one ends sooner.
        alert="RingBreach",
        series={
            f'{SEVERITIES}{{job="a",severity="low"}}': "0x7 1x60",
            f'{SEVERITIES}{{job="a",severity="high"}}': "0x7 1x19 2x40",
        },
        quiet=("1m",),
        fires="9m",
        labels={"job": "a", "breach": "high"},
        resolved="13m",
    ),
    Story(
        alert="ElevationTooLong",
        series={
            # The gauge ends with the elevation. The one of the last duration would stay.
            f'{ELEVATED}{{job="a",agent_did="did:root"}}': "0+15x28 stale",
            f'{ELEVATED}{{job="a",agent_did="did:short"}}': "0+15x18 stale",
        },
        quiet=("5m", "6m"),
        fires="6m30s",
        labels={"job": "a", "agent_did": "did:root"},
        value="6m 30s",
        resolved="7m30s",
    ),
    Story(
        alert="GovernanceLatencyHigh",
        series={
            # Ten minutes of decisions between 50 and 100 ms, then faster ones.
            f'{LATENCY}{{job="a",agent_id="x",le="50"}}': "0x40 0+15x60",
            f'{LATENCY}{{job="a",agent_id="x",le="100"}}': "0+15x100",
            f'{LATENCY}{{job="a",agent_id="x",le="+Inf"}}': "0+15x100",
            f'{LATENCY}{{job="fast",agent_id="x",le="50"}}': "0+15x100",
            f'{LATENCY}{{job="fast",agent_id="x",le="+Inf"}}': "0+15x100",
        },
        quiet=("4m", "5m"),
        fires="10m",
        labels={"job": "a"},
        value="99.5",
        resolved="16m",
    ),
    at_once(
        alert="CompensationFailed",
        series={
            f'{COMPENSATIONS}{{job="a",status="failed"}}': "0x7 1x80",
            f'{COMPENSATIONS}{{job="b",status="succeeded"}}': "0+1x80",
            f'{COMPENSATIONS}{{job="b",status="failed"}}': "0x80",
        },
        labels={"job": "a"},
    ),
    at_once(
        alert="CompensationFailed",
        series={f'{COMPENSATIONS}{{job="a",status="failed"}}': "_x7 2x80"},
        labels={"job": "a"},
    ),
    at_once(
        alert="ObservabilityEventsLost",
        series={
            # A reason has no series before the first event is lost for it.
            f'{OWN}events_dropped_total{{{PLUGIN},reason="expired"}}': "_x7 3x80",
            f'{OWN}events_dropped_total{{{PLUGIN},reason="filtered"}}': "0+9x80",
        },
        labels={**OF_PLUGIN, "reason": "expired"},
        value="3",
        resolved="13m",
    ),
    Story(
        alert="ObservabilityEventsLost",
        series={f'{OWN}events_dropped_total{{{PLUGIN},reason="full"}}': "5x79 5+5x8 45x80"},
        quiet=("12m", "19m"),
        fires="25m",
        labels={**OF_PLUGIN, "reason": "full"},
        value="40",
        resolved="33m",
    ),
    Story(
        # What grew while nothing scraped it is reported once; nothing else is reported again.
        alert="ObservabilityEventsLost",
        series={
            DROPPED: AFTER_A_GAP.format(7),
            DROPPED.replace("full", "expired"): AFTER_A_GAP.format(5),
        },
        quiet=("10m", "14m", "20m"),
        fires="36m",
        labels={**OF_PLUGIN, "reason": "full"},
        value="2",
        resolved="46m",
    ),
    after_a_gap(
        # The process restarted meanwhile.
        alert="ObservabilityEventsLost",
        series={DROPPED: AFTER_A_GAP.format(3)},
        labels={**OF_PLUGIN, "reason": "full"},
        value="3",
    ),
    after_a_gap(
        alert="CompensationFailed",
        series={
            f'{COMPENSATIONS}{{job="a",status="failed"}}': AFTER_A_GAP.format(6),
            f'{COMPENSATIONS}{{job="b",status="failed"}}': AFTER_A_GAP.format(5),
        },
        labels={"job": "a"},
    ),
    after_a_gap(
        alert="RingBreach",
        series={
            f'{SEVERITIES}{{job="a",severity="{one}"}}': (AFTER_A_GAP.format(count))
            for one, count in (("high", 6), ("low", 5))
        },
        labels={"job": "a", "breach": "high"},
        resolved="41m",
    ),
    after_a_gap(
        alert="ObservabilityEventsRejected",
        series={
            f"{OWN}events_rejected_total{{{PLUGIN}}}": AFTER_A_GAP.format(6),
            f'{OWN}events_rejected_total{{job="a",instance="i",plugin="jaeger"}}': (
                AFTER_A_GAP.format(5)
            ),
        },
        labels=OF_PLUGIN,
    ),
    after_a_gap(
        alert="ObservabilityJournalIncomplete",
        series={
            f'{OWN}journal_lost_events_total{{job="a",instance="i"}}': AFTER_A_GAP.format(6),
            f'{OWN}journal_lost_events_total{{job="b",instance="j"}}': AFTER_A_GAP.format(5),
        },
        labels=OF_PROCESS,
        value="1",
    ),
    Story(
        # Of a job of any name, if it showed these metrics before.
        alert="ObservabilityTargetDown",
        series={
            'up{job="a",instance="i"}': "1x20 0x20 1x20",
            f"{OWN}plugin_up{{{PLUGIN}}}": "1x20 stale",
            'up{job="node",instance="i"}': "0x60",
        },
        quiet=("4m", "7m"),
        fires="8m",
        labels=OF_PROCESS,
        resolved="11m",
    ),
    at_once(
        # Of the job that was never there.
        alert="ObservabilityTargetDown",
        series={
            'up{job="agent-hypervisor",instance="i"}': "0x60 1x60",
            'up{job="other",instance="i"}': "0x60",
        },
        labels={"job": "agent-hypervisor", "instance": "i"},
        resolved="16m",
    ),
    Story(
        alert="ObservabilityMetricsMissing",
        series={f"{OWN}plugin_up{{{PLUGIN}}}": "_x60 1x60", 'up{job="other"}': "1x60"},
        quiet=("9m",),
        fires="11m",
        labels={},
        resolved="16m",
    ),
    at_once(
        alert="ObservabilityEventsRejected",
        series={
            f"{OWN}events_rejected_total{{{PLUGIN}}}": "0x7 1x80",
            f'{OWN}events_rejected_total{{job="a",instance="i",plugin="jaeger"}}': "0x80",
        },
        labels=OF_PLUGIN,
    ),
    Story(
        alert="ObservabilityBreakerOpen",
        series={
            f"{OWN}circuit_state{{{PLUGIN}}}": "0x7 2x20 0x20",
            f'{OWN}circuit_state{{job="a",instance="i",plugin="jaeger"}}': "1x50",
        },
        quiet=("1m", "3m30s"),
        fires="5m",
        labels=OF_PLUGIN,
        resolved="8m",
    ),
    Story(
        alert="ObservabilityPluginDown",
        series={
            f"{OWN}plugin_up{{{PLUGIN}}}": "1x7 0x20 1x20",
            f'{OWN}plugin_up{{job="a",instance="i",plugin="jaeger"}}': "1x50",
        },
        quiet=("1m", "2m30s"),
        fires="4m",
        labels=OF_PLUGIN,
        resolved="8m",
    ),
    Story(
        # One that waits for its framework has no series, and one that runs is up.
        alert="ObservabilitySourceDown",
        series={
            f"{OWN}source_up{{{SOURCE}}}": "_x7 0x20 1x20",
            f'{OWN}source_up{{job="a",instance="i",source="openai-agents"}}': "1x50",
        },
        quiet=("1m", "2m30s"),
        fires="4m",
        labels=OF_SOURCE,
        resolved="8m",
    ),
    at_once(
        alert="ObservabilitySourceFailing",
        series={
            f"{OWN}source_errors_total{{{SOURCE}}}": "0x7 2x80",
            f'{OWN}source_errors_total{{job="a",instance="i",source="openai-agents"}}': "0x80",
        },
        labels=OF_SOURCE,
        value="2",
    ),
    at_once(
        # The first scrape comes after the first fault.
        alert="ObservabilitySourceFailing",
        series={f"{OWN}source_errors_total{{{SOURCE}}}": "_x7 1x80"},
        labels=OF_SOURCE,
        value="1",
    ),
    Story(
        alert="ObservabilityQueueFilling",
        series={
            f"{OWN}queue_size{{{PLUGIN}}}": "10x7 90000x40 10x20",
            f'{OWN}queue_size{{job="a",instance="i",plugin="jaeger"}}': "70000x70",
            f'{OWN}queue_capacity{{job="a",instance="i"}}': "100000x70",
        },
        quiet=("1m", "6m"),
        fires="8m",
        labels=OF_PLUGIN,
        value="90%",
        resolved="13m",
    ),
    at_once(
        alert="ObservabilityJournalDegraded",
        series={
            f'{OWN}journal_degraded{{job="a",instance="i"}}': "0x7 1x7 0x20",
            f'{OWN}journal_degraded{{job="b",instance="j"}}': "0x40",
        },
        labels=OF_PROCESS,
        resolved="5m",
    ),
    Story(
        alert="ObservabilityJournalIncomplete",
        series={
            f'{OWN}journal_lost_events_total{{job="a",instance="i"}}': "0x39 8x80",
            f'{OWN}journal_lost_events_total{{job="b",instance="j"}}': "0x120",
        },
        quiet=("9m",),
        fires="15m",
        labels=OF_PROCESS,
        value="8",
        resolved="21m",
    ),
    Story(
        alert="ObservabilitySeriesLimit",
        series={
            f'{OWN}series_overflow_total{{job="a",metric="m"}}': "0+1x80 80x60",
            f'{OWN}series_overflow_total{{job="a",metric="n"}}': "0x140",
        },
        quiet=("9m",),
        fires="15m",
        labels={"job": "a", "metric": "m"},
        resolved="31m",
    ),
    Story(
        # Another agent of a fleet takes over a partition and continues its totals.
        alert="RingBreach",
        series={
            f'{SEVERITIES}{{job="a",instance="i",severity="high",partition="1"}}': "7x19 stale",
            f'{SEVERITIES}{{job="a",instance="j",severity="high",partition="1"}}': "_x20 7x40 8x60",
            f'{SEVERITIES}{{job="a",instance="j",severity="low",partition="2"}}': "3x120",
        },
        quiet=("5m", "6m", "12m"),
        fires="16m",
        labels={"job": "a", "breach": "high"},
        resolved="22m",
    ),
    Story(
        alert="CompensationFailed",
        series={
            f'{COMPENSATIONS}{{job="a",instance="i",status="failed",partition="1"}}': "7x59 stale",
            f'{COMPENSATIONS}{{job="a",instance="j",status="failed",partition="1"}}': (
                "_x60 7x40 9x60"
            ),
        },
        quiet=("15m", "16m", "24m"),
        fires="26m",
        labels={"job": "a"},
        resolved="37m",
    ),
    Story(
        alert="ObservabilityFleetBehind",
        series={
            f'{NATS}lag_events{{{PLUGIN},partition="3"}}': "10x7 60000x40 10x20",
            f'{NATS}lag_events{{{PLUGIN},partition="4"}}': "40000x70",
        },
        quiet=("1m", "6m"),
        fires="8m",
        labels=IN_PARTITION,
        value="60k",
        resolved="13m",
    ),
    Story(
        # Another agent takes over one partition; none takes over the other.
        alert="ObservabilityFleetUnread",
        series={
            f'{NATS}lag_events{{{PLUGIN},partition="3"}}': "0x20 stale _x40 0x60",
            f'{NATS}lag_events{{{PLUGIN},partition="4"}}': "0x20 stale",
            f'{NATS}lag_events{{job="a",instance="j",plugin="otel",partition="4"}}': "_x21 0x100",
        },
        quiet=("5m", "7m"),
        fires="9m",
        labels=IN_PARTITION,
        resolved="17m",
    ),
    Story(
        alert="ObservabilityFleetExpired",
        series={
            f'{NATS}expired_events_total{{{PLUGIN},partition="3"}}': "5x59 stale",
            f'{NATS}expired_events_total{{job="a",instance="j",plugin="otel",partition="3"}}': (
                "_x60 5x40 12x60"
            ),
        },
        quiet=("15m", "16m", "24m"),
        fires="26m",
        labels={"job": "a", "plugin": "otel"},
        value="7",
        resolved="37m",
    ),
    at_once(
        alert="ObservabilityFleetUnverified",
        series={
            f'{NATS}unverified_events_total{{{PLUGIN},partition="3"}}': "0x7 4x80",
            f'{NATS}unverified_events_total{{{PLUGIN},partition="4"}}': "0x80",
        },
        labels={"job": "a", "plugin": "otel"},
        value="4",
    ),
    Story(
        alert="ObservabilityShippingBehind",
        series={
            f'{NATS}unshipped_seconds{{job="a",instance="i"}}': "0x7 90x40 0x20",
            f'{NATS}unshipped_seconds{{job="a",instance="j"}}': "30x70",
        },
        quiet=("1m", "6m"),
        fires="8m",
        labels=OF_PROCESS,
        value="1m 30s",
        resolved="13m",
    ),
    *(
        after_a_gap(
            alert=alert,
            series={
                f'{NATS}{counter}{{job="a",instance="i"}}': AFTER_A_GAP.format(6),
                f'{NATS}{counter}{{job="b",instance="j"}}': AFTER_A_GAP.format(5),
            },
            labels=OF_PROCESS,
            value="1",
        )
        for alert, counter in (
            ("ObservabilityShippingGap", "gone_events_total"),
            ("ObservabilityShippingTooLarge", "too_large_events_total"),
        )
    ),
]
