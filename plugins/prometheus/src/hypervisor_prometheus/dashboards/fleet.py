"""Panels of a fleet: what is sent to its stream, and which agents read it."""

from hypervisor_prometheus.alert import OWN
from hypervisor_prometheus.dashboards.board import JOB, WINDOW
from hypervisor_prometheus.dashboards.panels import Panel, Query, lines, numbers, steps, table

_NATS = f"{OWN}nats_"
_LAG = f"{_NATS}lag_events{{{JOB}}}"


def fleet() -> tuple[Panel, ...]:
    """Give the panels. A partition that moves to another agent is counted once."""
    return (
        numbers(
            "Lost to the fleet",
            "Expired: the stream's limits took what a plugin had not read. Not proven: passed over"
            " by agents. Never sent: gone from a journal, or too large.",
            Query(f"sum({_gained('expired_events_total')})", "expired", instant=True),
            Query(f"sum({_gained('unverified_events_total')})", "not proven", instant=True),
            Query(
                f"sum({_gained('gone_events_total')}) + sum({_gained('too_large_events_total')})",
                "never sent",
                instant=True,
            ),
            colours=steps((None, "green"), (0.5, "red")),
        ),
        lines(
            "Behind",
            "Events in the stream that a plugin has not read, in all partitions.",
            Query(f"sum by (plugin) (max by (plugin, partition) ({_LAG}))", "{{plugin}}"),
        ),
        table(
            "Partitions",
            "Who has each, and how many events it is behind.",
            f"max by (plugin, partition, instance) ({_LAG})",
            columns={
                "plugin": "Plugin",
                "partition": "Partition",
                "instance": "Agent",
                "Value": "Behind",
            },
        ),
        lines(
            "Agents",
            "How many share the stream, and the partitions of each.",
            Query(f"max({_NATS}agents{{{JOB}}})", "agents"),
            Query(f"max by (instance) ({_NATS}partitions{{{JOB}}})", "{{instance}}"),
        ),
        lines(
            "Sent",
            "Events a second that the stream has acknowledged, by process.",
            Query(
                f"sum by (instance) (rate({_NATS}shipped_events_total{{{JOB}}}{WINDOW}))",
                "{{instance}}",
            ),
        ),
        lines(
            "Waiting to be sent",
            "For how long the oldest event of each journal has been waiting.",
            Query(f"max by (instance) ({_NATS}unshipped_seconds{{{JOB}}})", "{{instance}}"),
            unit="s",
        ),
    )


def _gained(name: str) -> str:
    return f"increase({_NATS}{name}{{{JOB}}}[$__range])"
