"""Decisions of a governance layer: eight instruments, named as the .NET package names them.

A decision is an event, ``governance.decision``; the metrics are read from these events, so
that decisions are also kept, traced and delivered like everything else.
"""

import heapq
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..bus.event_bus import HypervisorEventBus
from ..causality.current_trace import current_trace
from ..events import ids
from ..events.event import HypervisorEvent
from ..events.event_types import GOVERNANCE_DECISION
from ..text.limited_log import LimitedLog
from ..threads.interruptions import is_from_handler
from ..values.scalars import plain_scalar
from ..values.truth import as_bool
from .decisions import EVALUATION_LATENCY, GovernanceCounts
from .families import LabelValues, MetricFamily, MetricKind
from .labels import UNKNOWN, LabelRules
from .uncounted import Uncounted

TRUST_SCORE = "agent_governance_trust_score"
ACTIVE_AGENTS = "agent_governance_active_agents"

TrustScores = Callable[[], Mapping[str, float] | Iterable[tuple[float, Mapping[str, str]]] | float]
ActiveAgents = Callable[[], int]


class GovernanceMetrics:
    """Record governance decisions, and gauges that are asked for their value.

    Args:
        bus: Decisions are emitted here.
        counting: Whether to count the bus's decisions here too, for ``collect``, by a
            synchronous subscriber. The one at ``Observability.governance`` does not: the
            metrics reader counts them.
        rules: How agents are shown, and how many.
    """

    def __init__(
        self,
        bus: HypervisorEventBus,
        *,
        counting: bool = True,
        rules: LabelRules = LabelRules(),  # noqa: B008 - frozen
    ) -> None:
        self._bus = bus
        self._rules = rules
        # Re-entrant: a signal handler may record a decision while another is counted.
        self._lock = threading.RLock()
        self._counts = GovernanceCounts(rules, Uncounted(EVALUATION_LATENCY))
        self._counts.instruments.limit(rules.max_series)
        self._trust_scores: list[TrustScores] = []
        self._active_agents: list[ActiveAgents] = []
        self._log = LimitedLog(__name__)
        if counting:
            for event_type in GovernanceCounts.event_types:
                bus.subscribe(event_type, self._count)

    def record_decision(
        self,
        allowed: bool,  # noqa: FBT001 - the signature is the published one
        agent_id: str,
        tool_name: str,
        evaluation_ms: float,
        rate_limited: bool = False,  # noqa: FBT001, FBT002 - likewise
    ) -> None:
        """Record that a call was allowed or denied, under the trace that is current.

        Args:
            allowed: Whether the policy permitted the call.
            agent_id: The agent that asked.
            tool_name: The tool that it asked for.
            evaluation_ms: How long the evaluation took, in milliseconds.
            rate_limited: Whether a rate limit was the reason.
        """
        trace = current_trace()
        self._bus.record(
            GOVERNANCE_DECISION,
            agent_did=agent_id,
            causal_trace_id=None if trace is None else trace.full_id,
            payload={
                "allowed": as_bool(allowed),
                "tool_name": tool_name,
                "evaluation_ms": evaluation_ms,
                "rate_limited": as_bool(rate_limited),
            },
        )

    def register_trust_score_gauge(self, callback: TrustScores) -> None:
        """Ask *callback* for trust scores (0 to 1000) whenever metrics are read.

        It gives a mapping of agent to score, pairs of score and labels, or one score.
        """
        self._trust_scores.append(callback)

    def register_active_agents_gauge(self, callback: ActiveAgents) -> None:
        """Ask *callback* for the number of active agents whenever metrics are read."""
        self._active_agents.append(callback)

    def gauges(self) -> list[MetricFamily]:
        """Ask the callbacks. One that raises is logged and gives no series."""
        scores: dict[LabelValues, float] = {}
        for trust_scores in self._trust_scores:
            for agent, score in self._asked(trust_scores, _scores_of).items():
                shown = agent if agent == (UNKNOWN,) else (self._rules.agent(agent[0]),)
                # Where agents share a series, the one that is trusted least counts.
                scores[shown] = score if shown == agent else min(score, scores.get(shown, score))
        most = self._rules.max_series
        if len(scores) > most:
            scores = dict(heapq.nsmallest(most, scores.items(), key=lambda one: one[1]))
        active: dict[LabelValues, float] = {}
        for active_agents in self._active_agents:
            active.update(self._asked(active_agents, _agents_of))
        return [
            MetricFamily(
                name=TRUST_SCORE,
                kind=MetricKind.GAUGE,
                help="Current trust score of the agent (0-1000)",
                label_names=("agent_id",),
                series=scores,
            ),
            MetricFamily(
                name=ACTIVE_AGENTS,
                kind=MetricKind.GAUGE,
                help="Number of active agents being tracked",
                series=active,
            ),
        ]

    def collect(self) -> list[MetricFamily]:
        """Give the present state of all eight instruments."""
        with self._lock:
            counted = self._counts.instruments.families()
        return [*counted, *self.gauges()]

    def _count(self, event: HypervisorEvent) -> None:
        with self._lock:
            self._counts.observe(event)

    def _asked(
        self,
        callback: Callable[[], Any],
        series_of: Callable[[Any], dict[LabelValues, float]],
    ) -> dict[LabelValues, float]:
        try:
            return series_of(callback())
        except Exception as error:  # a user's callback: metrics go on without it
            if is_from_handler(error):
                raise
            name = getattr(callback, "__qualname__", type(callback).__name__)
            self._log.warning(f"gauge {name}", "gauge callback %s raised", name, error=error)
            return {}


def _scores_of(value: Any) -> dict[LabelValues, float]:
    """Give the scores by agent; one that is not a finite number costs itself alone."""
    if isinstance(value, Mapping):
        found = [(ids.as_text(agent), score) for agent, score in value.items()]
    elif (score := _number(value)) is not None:
        found = [(UNKNOWN, score)]
    else:
        found = [(ids.as_text(labels.get("agent_id", UNKNOWN)), score) for score, labels in value]
    return {(agent,): score for agent, one in found if (score := _number(one)) is not None}


def _agents_of(value: Any) -> dict[LabelValues, float]:
    found = _number(value)
    return {} if found is None else {(): found}


def _number(value: Any) -> float | None:
    plain = plain_scalar(value)
    if not isinstance(plain, int | float) or not abs(plain) <= sys.float_info.max:
        return None
    return float(plain)
