"""What the plugin has sent and what it has not; the latter goes along with the other metrics."""

from attrs import define

from hypervisor_observability import MetricFamily, MetricKind

_PREFIX = "agent_hypervisor_observability_statsd_"


@define(eq=False)
class Traffic:
    """Counts since the start.

    Attributes:
        lines: Lines handed to the system.
        datagrams: Datagrams, or parts of a stream, handed to the system.
        send_errors: Those that it refused, or told later that nobody has taken.
        not_finite: Values that are no finite numbers, each time one was left out.
        sampled_out: Durations that the sample rate left out.
    """

    lines: int = 0
    datagrams: int = 0
    send_errors: int = 0
    not_finite: int = 0
    sampled_out: int = 0

    def families(self) -> list[MetricFamily]:
        """Give what was not sent: nothing is told of a series that stays at 0."""
        left_out: dict[tuple[str, ...], float] = {
            ("not_finite",): self.not_finite,
            ("sampled",): self.sampled_out,
        }
        return [
            MetricFamily(
                name=f"{_PREFIX}send_errors_total",
                kind=MetricKind.COUNTER,
                help="Datagrams that could not be sent",
                series={(): self.send_errors},
            ),
            MetricFamily(
                name=f"{_PREFIX}left_out_total",
                kind=MetricKind.COUNTER,
                help="Values that were not sent, by reason",
                label_names=("reason",),
                series=left_out,
            ),
        ]
