"""How the events are delivered: what processes tell in their status, or this one in its metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from hypervisor_observability import output
from hypervisor_observability.metrics.families import LabelValues, MetricFamily
from hypervisor_observability.stores import History, describe

_PREFIX = "agent_hypervisor_observability_"
_BREAKERS = {0: "closed", 1: "half_open", 2: "open"}
_ADVICE = (
    "To see it, give a table [state] a directory in the configuration of your agents, such as"
    ' directory = "state", and name that file: hvobs serve --config FILE.'
)

Told = dict[str, Any]


@frozen(kw_only=True)
class Health:
    """How the events are delivered.

    Attributes:
        processes: What each process tells, in plain data.
        problems: What is wrong, a line each.
        notices: What else is worth knowing, such as what to configure.
        history: What the history tells of itself; None: there is none, or it tells nothing.
    """

    processes: list[Told] = field(factory=list)
    problems: list[str] = field(factory=list)
    notices: list[str] = field(factory=list)
    history: Told | None = None


def health_of_processes(told: Mapping[str, Any], history: Told | None = None) -> Health:
    """Read what processes told.

    Args:
        told: As ``CommandContext.statuses`` gives it.
        history: As :func:`history_told` gives it.
    """
    reason = told["reason"]
    return Health(
        processes=[_process(one) for one in told["processes"]],
        problems=list(told["problems"]),
        notices=[]
        if reason is None
        else [f"No process tells how it delivers: {reason}. {_ADVICE}"],
        history=history,
    )


def history_told(history: History) -> Told | None:
    """Have a history tell of itself, in plain data; None where it cannot."""
    told = dict.fromkeys(("runs", "living", "events", "bytes", "proven", "proven_events"))
    told |= {"place": history.place, "problems": []}
    try:
        found = describe(history)
    except OSError as error:
        return {**told, "problems": [f"cannot be read: {output.reason(error)}"]}
    if found is None:
        return None
    return {
        **told,
        "runs": found.runs,
        "living": None if found.living is None else len(found.living),
        "events": found.events,
        "bytes": found.bytes,
        "proven": _moment(found.proven_at),
        "proven_events": found.proven_events,
        "proven_run": found.proven_run,
        "problems": list(found.problems),
    }


def _process(status: Mapping[str, Any]) -> Told:
    state = str(status["state"])
    if state == "running" and not status["running"]:
        state = "silent"
    readers = {**status["plugins"], "(metrics)": status["metrics"]}
    store = status.get("store")
    return {
        "pid": status["pid"],
        "service": status.get("service"),
        "role": status.get("role"),
        "release": status.get("release"),
        "state": state,
        "started": _moment(status["started_at"]),
        "written": _moment(status["written_at"]),
        "emitted": status["emitted"],
        "plugins": [_plugin(name, one) for name, one in readers.items()],
        "store": None if store is None else _store(store),
        "sources": [
            {"name": name, "state": one["state"], "errors": one["errors"]}
            for name, one in status.get("sources", {}).items()
        ],
    }


def _plugin(name: str, reader: Mapping[str, Any]) -> Told:
    dropped = {reason: count for reason, count in reader["dropped"].items() if count}
    waiting = reader["in_flight"] + reader["pending"]
    return _reader_told(
        name,
        state=reader["state"],
        breaker=reader["breaker"],
        delivered=reader["delivered"],
        waiting=waiting,
        rejected=reader["rejected"],
        dropped=dropped,
    )


def _reader_told(
    name: str,
    *,
    state: str,
    breaker: str | None,
    delivered: float,
    waiting: float,
    rejected: float,
    dropped: Mapping[str, float],
) -> Told:
    return {
        "name": name,
        "state": state,
        "breaker": breaker,
        # Each event is one of these at every moment.
        "emitted": delivered + waiting + rejected + sum(dropped.values()),
        "delivered": delivered,
        "waiting": waiting,
        "rejected": rejected,
        "dropped": [[reason, count] for reason, count in dropped.items()],
    }


def _store(store: Mapping[str, Any]) -> Told:
    told = {
        key: store.get(key)
        for key in (
            "name", "state", "directory", "run", "degraded", "lost", "events", "bytes",
            "unsynced_seconds", "proven_events", "errors",
        )
    }  # fmt: skip
    return {**told, "proven": _moment(store.get("proven_at"))}


def _moment(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def health_of_this_process(families: Sequence[MetricFamily], service: str) -> Health:
    """Read what this process tells of itself in its metrics.

    Args:
        families: All that are there.
        service: What the application is called.
    """
    by_name = {family.name: family.series for family in families}

    def series(name: str) -> Mapping[LabelValues, float]:
        return by_name.get(_PREFIX + name, {})

    dropped: dict[str, dict[str, float]] = {}
    for (plugin, reason), count in series("events_dropped_total").items():
        if count:
            dropped.setdefault(plugin, {})[reason] = count
    plugins = [
        _reader_told(
            plugin,
            state="running" if up else "down",
            breaker=_breaker(series("circuit_state").get((plugin,))),
            delivered=series("events_delivered_total").get((plugin,), 0),
            waiting=series("queue_size").get((plugin,), 0),
            rejected=series("events_rejected_total").get((plugin,), 0),
            dropped=dropped.get(plugin, {}),
        )
        for (plugin,), up in series("plugin_up").items()
    ]
    process = {
        "pid": None,
        "service": service,
        "role": "this process",
        "release": None,
        "state": "running",
        "started": None,
        "written": None,
        "emitted": max((one["emitted"] for one in plugins), default=0),
        "plugins": plugins,
        "store": _journal(series),
        "sources": [
            {
                "name": source,
                "state": "running" if up else "down",
                "errors": series("source_errors_total").get((source,), 0),
            }
            for (source,), up in series("source_up").items()
        ],
    }
    return Health(processes=[process])


def _breaker(value: float | None) -> str | None:
    return None if value is None else _BREAKERS.get(int(value))


def _journal(series: Any) -> Told | None:
    size = series("journal_bytes").get(())
    if size is None:
        return None
    return _store(
        {
            "name": "journal",
            "state": "running",
            "degraded": bool(series("journal_degraded").get((), 0)),
            "lost": series("journal_lost_events_total").get((), 0),
            "bytes": size,
            "unsynced_seconds": series("journal_unsynced_seconds").get((), 0),
            "proven_at": series("journal_proven_timestamp_seconds").get((), 0) or None,
        }
    )
