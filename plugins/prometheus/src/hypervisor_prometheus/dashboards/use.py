"""What agents use: tools, models, tokens and money."""

from hypervisor_prometheus.dashboards.board import AGENT, JOB, WINDOW
from hypervisor_prometheus.dashboards.panels import Panel, Query, lines, table


def calls() -> tuple[Panel, ...]:
    """Give the panels of runs, handoffs, and calls of tools and models."""
    runs = "agent_hypervisor_runs_total"
    handoffs = "agent_hypervisor_handoffs_total"
    seconds = "agent_hypervisor_model_duration_seconds_bucket"
    return (
        lines(
            "Calls of tools",
            "Calls that ended, a minute, by how they ended. Empty until calls are recorded.",
            Query(
                f"sum by (status) (rate(agent_hypervisor_tool_calls_total{{{JOB}}}{WINDOW})) * 60",
                "{{status}}",
                exemplars=True,
            ),
            unit="cpm",
            stacked=True,
        ).sized(12),
        lines(
            "Time of models",
            "Of 100 calls of a model, 95 took less than this.",
            Query(
                f"histogram_quantile(0.95, sum by (le, model) (rate({seconds}{{{JOB}}}{WINDOW})))",
                "{{model}}",
                exemplars=True,
            ),
            unit="s",
        ).sized(12),
        lines(
            "Runs",
            "Runs that ended, a minute, by how they ended. Empty until runs are recorded.",
            Query(
                f"sum by (outcome) (rate({runs}{{{JOB}}}{WINDOW})) * 60",
                "{{outcome}}",
                exemplars=True,
            ),
            unit="cpm",
            stacked=True,
        ).sized(12),
        table(
            "Handoffs",
            "The ten pairs of agents with most of them in this time.",
            f"topk(10, sum by (from_agent, to_agent) (increase({handoffs}{{{JOB}}}[$__range])))",
            columns={"from_agent": "From", "to_agent": "To", "Value": "Handoffs"},
        ).sized(12),
    )


def usage() -> tuple[Panel, ...]:
    """Give the panels of tokens and cost."""
    return (
        lines(
            "Tokens",
            "What models read and wrote, a minute. Empty until agents report what they use.",
            Query(
                "sum by (model, direction)"
                f" (rate(agent_hypervisor_tokens_total{{{AGENT}}}{WINDOW})) * 60",
                "{{model}} {{direction}}",
            ),
            stacked=True,
        ).sized(12),
        lines(
            "Cost",
            "What models cost, an hour, in units of the currency; estimates apart from the rest.",
            Query(
                "sum by (model, currency)"
                f" (rate(agent_hypervisor_cost_total{{{AGENT}}}{WINDOW})) * 3600",
                "{{model}} {{currency}}",
            ),
            Query(
                "sum by (model, currency)"
                f" (rate(agent_hypervisor_cost_estimated_total{{{AGENT}}}{WINDOW})) * 3600",
                "{{model}} ~{{currency}}",
            ),
            stacked=True,
        ).sized(12),
    )
