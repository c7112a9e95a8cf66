"""The metrics of an agent over a stream that others read too."""

from collections.abc import Callable

from hypervisor_nats.following.rounds import Rounds
from hypervisor_nats.following.term import Term
from hypervisor_observability import MetricFamily, MetricKind

_PREFIX = "agent_hypervisor_observability_nats_"
_LABELS = ("plugin", "partition")


def fleet_metrics(rounds: Rounds, *, keeps: bool) -> list[MetricFamily]:
    """Tell of an agent's partitions.

    Args:
        rounds: Of the agent.
        keeps: Whether it has what it has, for all that it knows; if not, it tells of none.
    """
    gauge, counter = MetricKind.GAUGE, MetricKind.COUNTER
    terms = list(rounds.tenures.terms.values()) if keeps else []
    by_term: tuple[tuple[str, MetricKind, str, Callable[[Term], int]], ...] = (
        ("lag_events", gauge, "Events in the stream that the plugin has not read",
         lambda term: rounds.tenures.behind(term) + term.waiting),
        ("expired_events_total", counter, "Events that were gone before the plugin could read them",
         lambda term: term.expired),
        ("unverified_events_total", counter,
         "Events passed over because the chain of their run does not prove them",
         lambda term: term.unverified),
    )  # fmt: skip
    alone: tuple[tuple[str, MetricKind, str, float], ...] = (
        ("agents", gauge, "Agents that share the stream, as this one sees them", len(rounds.live)),
        ("partitions", gauge, "Partitions that this agent has",
         len({term.partition for term in terms})),
        ("takeovers_total", counter, "Partitions taken over from agents that had died",
         rounds.tenures.claiming.takeovers),
        ("lost_partitions_total", counter, "Partitions that another agent has taken over",
         rounds.tenures.lost),
        ("strange_messages_total", counter,
         "Messages in the stream that are not of this system, passed over", rounds.tenures.strange),
    )  # fmt: skip
    return [
        *(
            MetricFamily(
                name=_PREFIX + name, kind=kind, help=text, label_names=_LABELS,
                series={(term.kept.reader, term.name): value(term) for term in terms},
            )
            for name, kind, text, value in by_term
        ),
        *(
            MetricFamily(
                name=_PREFIX + name, kind=kind, help=text, label_names=(), series={(): value}
            )
            for name, kind, text, value in alone
        ),
    ]  # fmt: skip
