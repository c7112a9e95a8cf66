"""The metrics of a journal."""

from hypervisor_observability import MetricFamily, MetricKind

_PREFIX = "agent_hypervisor_observability_journal_"


def journal_metrics(
    *, degraded: bool, lost: int, size: int, unsynced_seconds: float, proven_at: float | None
) -> list[MetricFamily]:
    """Tell of the journal of a process.

    Args:
        degraded: Whether events are not journalled at present.
        lost: How many were not.
        size: Bytes on the disk in the journal's directory.
        unsynced_seconds: For how long the oldest event that the disk may not have has waited.
        proven_at: When the newest anchor was made, in seconds since the epoch; None: there is none.
    """
    gauge, counter = MetricKind.GAUGE, MetricKind.COUNTER
    values = (
        ("degraded", gauge, "Whether events are not journalled at present", int(degraded)),
        ("lost_events_total", counter, "Events that are not in the journal", lost),
        ("bytes", gauge, "Bytes on the disk in the journal's directory", size),
        ("unsynced_seconds", gauge,
         "Time for which the oldest event that the disk may not have has been waiting",
         unsynced_seconds),
        ("proven_timestamp_seconds", gauge,
         "When the newest anchor was made, in seconds since the epoch; 0: there is none",
         proven_at or 0),
    )  # fmt: skip
    return [
        MetricFamily(name=_PREFIX + name, kind=kind, help=text, label_names=(), series={(): value})
        for name, kind, text, value in values
    ]
