"""An alert, and how it finds what has grown."""

from attrs import frozen

from hypervisor_prometheus.yaml_text import Yaml

OWN = "agent_hypervisor_observability_"
"""The prefix of the metrics about the observability itself."""


def grown(counter: str, time: str) -> str:
    """Give the expression for which series of *counter* grew in *time*, and by how much.

    Those that are new, that grew while nobody scraped, and that began at zero meanwhile are
    included; those that are what they were before a gap in the scrapes are not.
    """
    before = f"last_over_time({counter}[1d] offset {time})"
    return (
        f"({counter} - {before} > 0 or {counter} > 0 < {before}"
        f" or ({counter} > 0 unless {before}) or increase({counter}[{time}]) > 0)"
    )


def grown_anywhere(counter: str, time: str) -> str:
    """Do what ``grown`` does, for a counter that moves between the agents of a fleet: an agent that
    takes a partition over continues the total of the one before, which is not growth.
    """
    shared = _selecting(counter, 'partition!=""')
    now = f"max without (instance) ({shared})"
    before = f"max without (instance) (last_over_time({shared}[1d] offset {time}))"
    alone = grown(_selecting(counter, 'partition=""'), time)
    return f"({alone} or {now} - {before} > 0 or ({now} > 0 unless {before}))"


def _selecting(counter: str, matcher: str) -> str:
    name, _, matchers = counter.removesuffix("}").partition("{")
    return f"{name}{{{','.join(part for part in (matchers, matcher) if part)}}}"


@frozen
class Alert:
    """An alert.

    Attributes:
        name: Its name.
        promql: Gives a series for each thing that is wrong.
        holds_for: How long it has to be so before the alert fires, as Prometheus writes it.
        severity: ``critical``: look now; ``warning``: look today; ``info``: good to know.
        summary: One line, with Prometheus' templates.
        description: What it means, and what to look at.
    """

    name: str
    promql: str
    holds_for: str
    severity: str
    summary: str
    description: str

    def rule(self) -> Yaml:
        """Give it as a rule file has it."""
        return {
            "alert": self.name,
            "expr": self.promql,
            "for": self.holds_for,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }
