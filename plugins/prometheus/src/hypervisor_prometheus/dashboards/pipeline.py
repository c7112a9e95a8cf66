"""Whether the observability itself is well: the dashboard of delivery, journal and process."""

from hypervisor_prometheus.alert import OWN
from hypervisor_prometheus.alerts import LOSSES
from hypervisor_prometheus.dashboards.agents import AGENTS_UID, PIPELINE_UID
from hypervisor_prometheus.dashboards.board import (
    JOB,
    WINDOW,
    Row,
    dashboard,
    label_variable,
    link_to,
    source_variable,
)
from hypervisor_prometheus.dashboards.fleet import fleet
from hypervisor_prometheus.dashboards.panels import Json, Panel, Query, lines, numbers, steps, table

_ANY_IS_BAD = steps((None, "green"), (0.5, "red"))


def pipeline_dashboard() -> Json:
    """Give the dashboard of what becomes of the events."""
    return dashboard(
        uid=PIPELINE_UID,
        title="Agent observability: delivery of the events",
        description="What was emitted, what each backend has of it, and what was lost.",
        rows=[
            Row("", _delivery()),
            Row("Plugins", _plugins()),
            Row("Sources", _sources()),
            Row("Journal", _journal()),
            Row("Fleet", fleet()),
            Row("The process, and the metrics themselves", _process()),
        ],
        variables=[
            source_variable("datasource", "prometheus", "Metrics"),
            label_variable("job", f"{OWN}events_emitted_total", "job", "Job"),
        ],
        links=[link_to(AGENTS_UID, "What agents do")],
    )


def _delivery() -> tuple[Panel, ...]:
    return (
        numbers(
            "Lost in this time",
            "Events that a plugin never got, or that its backend refused; of what is left out"
            " on purpose, nothing. A number above 0 is a gap in that backend.",
            Query(
                f"sum({_gained('events_dropped_total', LOSSES, '[$__range]')})"
                f" or sum({_gained('events_delivered_total', '', '[$__range]')}) * 0",
                "dropped",
                instant=True,
            ),
            Query(
                f"sum({_gained('events_rejected_total', '', '[$__range]')})",
                "rejected",
                instant=True,
            ),
            colours=_ANY_IS_BAD,
        ),
        lines(
            "Emitted",
            "Events a second, of the ten most frequent types.",
            Query(
                f"topk(10, sum by (event_type) ({_gained('events_emitted_total', '', WINDOW)}))",
                "{{event_type}}",
            ),
            stacked=True,
        ),
        lines(
            "Delivered",
            "Events that backends have, by plugin.",
            Query(
                f"sum by (plugin) ({_gained('events_delivered_total', '', WINDOW)})",
                "{{plugin}}",
            ),
        ),
        lines(
            "Dropped",
            "By plugin and reason, whatever the reason is.",
            Query(
                f"sum by (plugin, reason) ({_gained('events_dropped_total', '', WINDOW)})"
                f" or sum by (plugin) ({_gained('events_delivered_total', '', WINDOW)}) * 0",
                "{{plugin}} {{reason}}",
            ),
        ),
        lines(
            "Waiting",
            "Events that are not delivered yet, by plugin, and how many fit into memory.",
            Query(f"sum by (plugin) ({OWN}queue_size{{{JOB}}})", "{{plugin}}"),
            Query(f"max({OWN}queue_capacity{{{JOB}}})", "capacity"),
        ),
        lines(
            "Open spans",
            "Spans that have begun and not ended.",
            Query(f"sum by (plugin) ({OWN}open_spans{{{JOB}}})", "{{plugin}}"),
        ),
    )


def _plugins() -> tuple[Panel, ...]:
    seconds = f"{OWN}export_seconds_bucket"
    return (
        table(
            "Plugins",
            "Whether each runs, in each process.",
            f"min by (job, instance, plugin) ({OWN}plugin_up{{{JOB}}})",
            columns={"plugin": "Plugin", "job": "Job", "instance": "Process", "Value": "State"},
            colours=steps((None, "red"), (1, "green")),
            words={"0": "down", "1": "up"},
        ),
        table(
            "Breakers",
            "Open: the backend failed again and again, and is only probed now and then.",
            f"max by (job, instance, plugin) ({OWN}circuit_state{{{JOB}}})",
            columns={"plugin": "Plugin", "job": "Job", "instance": "Process", "Value": "Breaker"},
            colours=steps((None, "green"), (1, "orange"), (2, "red")),
            words={"0": "closed", "1": "half open", "2": "open"},
        ),
        lines(
            "Calls of backends",
            "By how they ended.",
            Query(
                f"sum by (plugin, result) ({_gained('export_total', '', WINDOW)})",
                "{{plugin}} {{result}}",
            ),
        ).sized(4),
        lines(
            "Time of a call",
            "95 of 100 take less.",
            Query(
                f"histogram_quantile(0.95, sum by (plugin, le) (rate({seconds}{{{JOB}}}{WINDOW})))",
                "{{plugin}}",
            ),
            unit="s",
        ).sized(4),
    )


def _sources() -> tuple[Panel, ...]:
    return (
        table(
            "Sources",
            "Whether each sees its framework, in each process that has imported it.",
            f"min by (job, instance, source) ({OWN}source_up{{{JOB}}})",
            columns={"source": "Source", "job": "Job", "instance": "Process", "Value": "State"},
            colours=steps((None, "red"), (1, "green")),
            words={"0": "down", "1": "up"},
        ).sized(12),
        lines(
            "Callbacks that raised",
            "By source: some work of agents is missing, or has no end.",
            Query(f"sum by (source) ({_gained('source_errors_total', '', WINDOW)})", "{{source}}"),
        ).sized(12),
    )


def _journal() -> tuple[Panel, ...]:
    return (
        numbers(
            "Journal",
            "Whether events are journalled at present, and how many are not in it.",
            Query(f"max({OWN}journal_degraded{{{JOB}}})", "degraded"),
            Query(
                f"sum(increase({OWN}journal_lost_events_total{{{JOB}}}[$__range]))",
                "not journalled",
                instant=True,
            ),
            colours=_ANY_IS_BAD,
        ),
        lines(
            "Journal's size",
            "Bytes on the disk in its directory.",
            Query(f"max by (instance) ({OWN}journal_bytes{{{JOB}}})", "{{instance}}"),
            unit="bytes",
        ),
        lines(
            "Not synced",
            "How long the oldest event waits that the loss of power would take.",
            Query(
                f"max by (instance) ({OWN}journal_unsynced_seconds{{{JOB}}})",
                "{{instance}}",
            ),
            unit="s",
        ),
    )


def _process() -> tuple[Panel, ...]:
    oddities = (
        "handler_errors_total",
        "refused_total",
        "redacted_total",
        "gate_failures_total",
        "payload_cuts_total",
        "internal_events_total",
        "duplicate_events_total",
        "conflicting_events_total",
    )
    metrics = (
        ("series_overflow_total", "overflow"),
        ("series_evicted_total", "evicted"),
        ("series_withdrawn_total", "withdrawn"),
    )
    return (
        lines(
            "Out of the ordinary",
            "Subscribers that raised, payload values that were taken out or cut, events twice.",
            *(
                Query(
                    f"sum({_gained(name, '', WINDOW)})",
                    name.removesuffix("_total").replace("_", " "),
                )
                for name in oddities
            ),
        ).sized(12),
        lines(
            "Series of metrics",
            "Of the ten metrics that have most; each is limited to 2,001, or by max_series.",
            Query(f"topk(10, sum by (metric) ({OWN}series{{{JOB}}}))", "{{metric}}"),
        ).sized(12),
        lines(
            "Series beyond the limit, and withdrawn",
            "Overflow: observations that no longer tell agents or sessions apart.",
            *(Query(f"sum({_gained(name, '', WINDOW)})", legend) for name, legend in metrics),
        ),
        lines(
            "Threads",
            "Threads of Python in each process.",
            Query(f"max by (instance) ({OWN}threads{{{JOB}}})", "{{instance}}"),
        ),
        lines(
            "Memory",
            "Of each process, resident; where the system tells.",
            Query(f"max by (instance) ({OWN}resident_bytes{{{JOB}}})", "{{instance}}"),
            unit="bytes",
        ),
    )


def _gained(name: str, matcher: str, window: str) -> str:
    """Ask how much a counter grew; a second, or over the whole range on display."""
    function = "increase" if window == "[$__range]" else "rate"
    selector = ",".join(part for part in (JOB, matcher) if part)
    return f"{function}({OWN}{name}{{{selector}}}{window})"
