"""What agents do: the dashboard of rings, decisions, trust, sagas, calls and usage."""

from hypervisor_prometheus.dashboards.board import (
    AGENT,
    JOB,
    WINDOW,
    Row,
    dashboard,
    label_variable,
    link_to,
    source_variable,
    text_variable,
)
from hypervisor_prometheus.dashboards.panels import (
    Json,
    Panel,
    Query,
    bars,
    dials,
    lines,
    numbers,
    pie,
    steps,
    table,
)
from hypervisor_prometheus.dashboards.timelines import TraceBackend, found_traces, timeline
from hypervisor_prometheus.dashboards.use import calls, usage

AGENTS_UID = "agent-hypervisor-agents"
PIPELINE_UID = "agent-hypervisor-pipeline"

_GOVERNED = 'job=~"$job",agent_id=~"$agent"'
_RINGS = {"0": "0 root", "1": "1 privileged", "2": "2 standard", "3": "3 sandbox"}
_RING_COLOURS = steps((None, "red"), (1, "orange"), (2, "blue"), (3, "green"))
_ALARM = steps((None, "green"), (0.001, "orange"), (30, "red"))  # 30 a minute: 0.5 a second
_DENIED = steps((None, "green"), (0.05, "orange"), (0.25, "red"))
_TRUST = steps((None, "red"), (400, "orange"), (700, "green"))


def agents_dashboard(
    *, traces: TraceBackend = TraceBackend.JAEGER, service: str = "agents"
) -> Json:
    """Give the dashboard of what agents do.

    Args:
        traces: Who keeps the spans.
        service: The name under which they are kept there; the reader can change it.
    """
    return dashboard(
        uid=AGENTS_UID,
        title="Agent observability",
        description="Rings, policy decisions, trust, sagas, runs, calls and usage of agents.",
        rows=[
            Row("", (*_rings(), *_governance())),
            Row("Saga timeline", (found_traces(traces, AGENTS_UID), timeline(traces))),
            Row("Sagas", _sagas()),
            Row("Who, and how much", _agents()),
            Row("Runs, and calls of tools and models", calls()),
            Row("Usage of models", usage()),
        ],
        variables=[
            source_variable("datasource", "prometheus", "Metrics"),
            source_variable("traces", traces.value, "Traces"),
            label_variable(
                "job", "agent_hypervisor_observability_events_emitted_total", "job", "Job"
            ),
            label_variable("agent", "agent_hypervisor_ring_current", "agent_did", "Agent"),
            text_variable("service", "Service", service, "Its name in Jaeger or Tempo"),
            text_variable("trace", "Trace", "", "The id of the trace that is shown"),
        ],
        links=[link_to(PIPELINE_UID, "Delivery of the events")],
    )


def _rings() -> tuple[Panel, ...]:
    transitions = "agent_hypervisor_ring_transitions_by_agent_total"
    breaches = "agent_hypervisor_ring_breaches_by_agent_total"
    by_severity = "agent_hypervisor_ring_breaches_by_severity_total"
    return (
        lines(
            "Ring transitions",
            "Assignments, elevations, demotions and expirations, a minute.",
            Query(
                f"sum by (event_type) (rate({transitions}{{{AGENT}}}{WINDOW})) * 60",
                "{{event_type}}",
                exemplars=True,
            ),
            unit="cpm",
        ),
        numbers(
            "Breach rate",
            "Attempts to do what the agent's ring does not allow, a minute.",
            Query(f"sum(rate({breaches}{{{AGENT}}}{WINDOW})) * 60", "a minute", exemplars=True),
            unit="cpm",
            colours=_ALARM,
        ).sized(4),
        numbers(
            "Breaches in this time",
            "By severity, of all agents: a lone one is seen here too.",
            Query(
                f"sum by (severity) (increase({by_severity}{{{JOB}}}[$__range]))",
                "{{severity}}",
                instant=True,
            ),
            colours=steps((None, "green"), (0.5, "orange")),
        ).sized(4),
        table(
            "Current ring levels",
            "The innermost ring that each agent has now: 0 may do everything.",
            f"min by (agent_did) (agent_hypervisor_ring_current{{{AGENT}}})",
            columns={"agent_did": "Agent", "Value": "Ring"},
            colours=_RING_COLOURS,
            words=_RINGS,
        ),
    )


def _governance() -> tuple[Panel, ...]:
    elevations = "agent_hypervisor_ring_elevation_seconds_bucket"
    decisions = "agent_governance_policy_decisions_total"
    return (
        bars(
            "Elevation duration",
            "How long the elevations took that ended in this time: their number by upper bound.",
            Query(
                f"sum by (le) (increase({elevations}{{{JOB}}}[$__range]))",
                "{{le}}",
                instant=True,
                shape="heatmap",
            ),
        ),
        pie(
            "Policy decisions",
            "Uses of tools that were allowed and denied in this time.",
            Query(
                f"sum by (decision) (increase({decisions}{{{_GOVERNED}}}[$__range]))",
                "{{decision}}",
                instant=True,
            ),
            colours={"allow": "green", "deny": "red"},
        ),
        dials(
            "Trust scores",
            "How far each agent is trusted, 0 to 1000; the least, where several tell.",
            Query(
                f"min by (agent_id) (agent_governance_trust_score{{{_GOVERNED}}})",
                "{{agent_id}}",
                instant=True,
            ),
            bounds=(0, 1000),
            colours=_TRUST,
        ),
    )


def _sagas() -> tuple[Panel, ...]:
    durations = "agent_hypervisor_saga_duration_seconds_bucket"
    return (
        lines(
            "Sagas that ended",
            "By outcome. Compensated: it failed, and all of it was undone.",
            Query(
                f"sum by (outcome) (increase(agent_hypervisor_sagas_total{{{JOB}}}{WINDOW}))",
                "{{outcome}}",
                exemplars=True,
            ),
            stacked=True,
        ).sized(6),
        lines(
            "Saga duration",
            "Half of all sagas took less than the first, 95 of 100 less than the second.",
            *(
                Query(
                    f"histogram_quantile({share}, sum by (le)"
                    f" (rate({durations}{{{JOB}}}{WINDOW})))",
                    f"p{share * 100:.0f}",
                )
                for share in (0.5, 0.95)
            ),
            unit="s",
        ).sized(6),
        lines(
            "Steps",
            "Steps that ended, by status.",
            Query(
                f"sum by (status) (increase(agent_hypervisor_saga_steps_total{{{JOB}}}{WINDOW}))",
                "{{status}}",
            ),
            stacked=True,
        ).sized(6),
        lines(
            "Compensations",
            "Steps that were undone. One that failed has left something behind.",
            Query(
                "sum by (status)"
                f" (increase(agent_hypervisor_saga_compensations_total{{{JOB}}}{WINDOW}))",
                "{{status}}",
                exemplars=True,
            ),
            stacked=True,
        ).sized(6),
    )


def _agents() -> tuple[Panel, ...]:
    latency = "agent_governance_evaluation_latency_ms_bucket"
    blocked = f"sum(rate(agent_governance_tool_calls_blocked_total{{{_GOVERNED}}}[$__range]))"
    decided = f"sum(rate(agent_governance_policy_decisions_total{{{_GOVERNED}}}[$__range]))"
    return (
        numbers(
            "Now at work",
            "Sessions that were created and have not ended, and agents that have joined.",
            Query(f"sum(agent_hypervisor_sessions_active{{{JOB}}})", "sessions"),
            Query(f"sum(agent_hypervisor_agents_active{{{JOB}}})", "agents"),
        ).sized(6),
        numbers(
            "Share denied",
            "Of all policy decisions in this time.",
            Query(f"{blocked} / clamp_min({decided}, 1e-9)", "denied", instant=True),
            unit="percentunit",
            colours=_DENIED,
        ).sized(6),
        lines(
            "Evaluation of policies",
            "Time that decisions take, in milliseconds.",
            *(
                Query(
                    f"histogram_quantile({share}, sum by (le)"
                    f" (rate({latency}{{{_GOVERNED}}}{WINDOW})))",
                    f"p{share * 100:.0f}",
                    exemplars=True,
                )
                for share in (0.5, 0.99)
            ),
            unit="ms",
        ).sized(12),
        table(
            "Elevated now",
            "For how long already. Empty is good.",
            f"max by (agent_did) (agent_hypervisor_ring_elevation_active_seconds{{{AGENT}}})",
            columns={"agent_did": "Agent", "Value": "Elevated for"},
            unit="s",
            colours=steps((None, "text"), (300, "red")),
        ),
        table(
            "Most breaches",
            "The ten agents with most of them in this time.",
            "topk(10, sum by (agent_did) (increase("
            f"agent_hypervisor_ring_breaches_by_agent_total{{{AGENT}}}[$__range])))",
            columns={"agent_did": "Agent", "Value": "Breaches"},
        ),
        table(
            "Most denials",
            "The ten agents and tools with most of them in this time.",
            "topk(10, sum by (agent_id, tool_name) (increase("
            f"agent_governance_tool_calls_blocked_total{{{_GOVERNED}}}[$__range])))",
            columns={"agent_id": "Agent", "tool_name": "Tool", "Value": "Denials"},
        ),
    )
