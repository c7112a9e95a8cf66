"""Alerts of a fleet: journals that are not sent, and a stream that is not read."""

from hypervisor_prometheus.alert import OWN, Alert, grown, grown_anywhere

_NATS = f"{OWN}nats_"
_LAG = f"{_NATS}lag_events"
_STATUS = "hvobs nats status shows which agent has which partition."

FLEET_ALERTS = (
    Alert(
        name="ObservabilityFleetBehind",
        promql=f"max by (job, plugin, partition) ({_LAG}) > 50000",
        holds_for="5m",
        severity="warning",
        summary="{{ $labels.plugin }} is {{ $value | humanize }} events behind in partition"
        " {{ $labels.partition }}",
        description="Its backend is slow or away, or there are too few agents for the events that"
        f" come. The limits of the stream take what is not read in time. {_STATUS}",
    ),
    Alert(
        name="ObservabilityFleetUnread",
        # An agent had it within the last hour, and none has it now.
        promql=f"max by (job, plugin, partition) (last_over_time({_LAG}[1h]))"
        f" unless max by (job, plugin, partition) ({_LAG})",
        holds_for="3m",
        severity="critical",
        summary="Nobody reads partition {{ $labels.partition }} for {{ $labels.plugin }}",
        description="No agent that is scraped has it. Start an agent, or find out why the running"
        f" ones do not take it. {_STATUS}",
    ),
    Alert(
        name="ObservabilityFleetExpired",
        promql=f"sum by (job, plugin) {grown_anywhere(f'{_NATS}expired_events_total', '10m')}",
        holds_for="0m",
        severity="critical",
        summary="The stream has lost events that {{ $labels.plugin }} had not read",
        description='Its limits took {{ $value | printf "%.0f" }} events of the last ten minutes.'
        " The journals may still have them. Raise the limits with hvobs nats init, or add agents.",
    ),
    Alert(
        name="ObservabilityFleetUnverified",
        promql=f"sum by (job, plugin) {grown_anywhere(f'{_NATS}unverified_events_total', '10m')}",
        holds_for="0m",
        severity="critical",
        summary="{{ $labels.plugin }} has skipped events that are not proven",
        description='The hash chain of a run does not prove {{ $value | printf "%.0f" }} events of'
        " the last ten minutes: they were changed, or two processes ship one run. hvobs nats verify"
        " names the run.",
    ),
    Alert(
        name="ObservabilityShippingBehind",
        promql=f"max by (job, instance) ({_NATS}unshipped_seconds) > 60",
        holds_for="5m",
        severity="warning",
        summary="Events of {{ $labels.instance }} have waited {{ $value | humanizeDuration }}"
        " to be sent",
        description="The stream is away or full, or refuses this client. Events wait in the"
        " journal, and are lost to the fleet when its limits take them.",
    ),
    Alert(
        name="ObservabilityShippingGap",
        promql=f"sum by (job, instance) {grown(f'{_NATS}gone_events_total', '10m')}",
        holds_for="0m",
        severity="critical",
        summary="Events of {{ $labels.instance }} are gone before they were sent",
        description="Its journal's limits, or damage, took"
        ' {{ $value | printf "%.0f" }} events of the last ten minutes that the fleet will never'
        " see.",
    ),
    Alert(
        name="ObservabilityShippingTooLarge",
        promql=f"sum by (job, instance) {grown(f'{_NATS}too_large_events_total', '10m')}",
        holds_for="0m",
        severity="warning",
        summary="Events of {{ $labels.instance }} are too large for the stream",
        description='The server does not take {{ $value | printf "%.0f" }} events of the last ten'
        " minutes, which stay in the journal: raise max_payload in its configuration.",
    ),
)
