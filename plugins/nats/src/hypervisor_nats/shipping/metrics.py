"""The metrics of shipping."""

from hypervisor_nats.shipping.standing import Standing
from hypervisor_observability import MetricFamily, MetricKind

_PREFIX = "agent_hypervisor_observability_nats_"


def shipping_metrics(standing: Standing) -> list[MetricFamily]:
    """Return the metrics of a journal on its way into the stream."""
    gauge, counter = MetricKind.GAUGE, MetricKind.COUNTER
    values = (
        ("shipping", gauge, "Whether this process sends the journal to the stream",
         int(standing.ships)),
        ("connected", gauge, "Whether the stream answered the last request",
         int(standing.connected)),
        ("shipped_events_total", counter, "Events that the stream has acknowledged",
         standing.shipped),
        ("unshipped_events", gauge, "Events in the journal that wait to be sent",
         standing.waiting),
        ("unshipped_seconds", gauge, "How long the oldest of them has been waiting",
         standing.behind_seconds),
        ("gone_events_total", counter,
         "Events that the journal lost, to its bounds or to damage, before they were sent",
         standing.gone),
        ("too_large_events_total", counter, "Events that the server refuses",
         standing.too_large),
    )  # fmt: skip
    return [
        MetricFamily(name=_PREFIX + name, kind=kind, help=text, label_names=(), series={(): value})
        for name, kind, text, value in values
    ]
