"""The meters that there are, and what they tell each other."""

from collections.abc import Callable, Iterator
from typing import Any

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts.prices import Prices
from .activity import EventCounts
from .call_counts import FIRST_TOKEN, MODEL_SECONDS, TOOL_SECONDS, call_counts
from .decisions import EVALUATION_LATENCY, GovernanceCounts
from .labels import LabelRules
from .meter import Instruments, Meter
from .ongoing import ongoing
from .open_work import Moment, OpenWork
from .rings import RingMetrics
from .saga_counts import SAGA_DURATION, SagaMetrics
from .sessions import SESSION_DURATION, SessionMetrics
from .tallies import DRIFT_SCORE, FANOUT_BRANCHES, RUN_SECONDS, handoffs, rate_limits, tallies
from .uncounted import Uncounted
from .usage import UsageMetrics
from .withdrawals import Withdrawals


class Meters:
    """All meters, counting from nothing.

    Args:
        rules: How agents and sessions are shown, and how many.
        now_ns: Gives the present time in nanoseconds since the epoch.
        prices: To estimate costs of which nobody told; None: they are not estimated.

    Attributes:
        moment: On whose behalf events are observed.
        event_counts: Counts all of them.
        uncounted: What could not be counted.
        withdrawals: Removes the series of sessions that ended.
        instruments: Those of all meters.
    """

    def __init__(
        self, rules: LabelRules, now_ns: Callable[[], int], prices: Prices | None = None
    ) -> None:
        self.moment = Moment()
        self.uncounted = uncounted = Uncounted(
            EVALUATION_LATENCY,
            DRIFT_SCORE,
            FANOUT_BRANCHES,
            SAGA_DURATION,
            SESSION_DURATION,
            RUN_SECONDS,
            TOOL_SECONDS,
            MODEL_SECONDS,
            FIRST_TOKEN,
        )
        self._rate_limits = rate_limits(rules)
        members = OpenWork(self.moment, 3)
        works = members.lasting.any_of
        rings = RingMetrics(rules, now_ns, self.moment, works=works)
        self.withdrawals = Withdrawals(
            (rings.transitions, rings.breaches) if rules.shows_sessions else (),
            works=works,
            forget_agent=rings.forget_agent,
            now_ns=now_ns,
        )
        sessions = SessionMetrics(
            self.moment,
            members,
            uncounted,
            on_join=self._join,
            on_end=self.withdrawals.end_session,
            on_gone=self.withdrawals.leave,
        )
        self.event_counts = EventCounts()
        self._all: tuple[Meter, ...] = (
            sessions,
            rings,  # behind those who tell it who works where
            SagaMetrics(self.moment, uncounted),
            *ongoing(self.moment),
            self._rate_limits,
            *tallies(uncounted),
            handoffs(rules),
            *call_counts(uncounted),
            GovernanceCounts(rules, uncounted),
            UsageMetrics(rules, prices),
        )
        self.instruments = Instruments.of_all(
            [
                self.event_counts.instruments,
                *(meter.instruments for meter in self),
                uncounted.instruments,
            ]
        )
        self.instruments.limit(rules.max_series)

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._all)

    def state(self) -> dict[str, Any]:
        """Give what was counted and what goes on, as plain JSON values."""
        return {
            "meters": {"all": self.instruments.state()},
            "withdrawals": self.withdrawals.state(),
        }

    def restore(self, state: Any) -> list[str]:
        """Take what ``state`` gave, or gave when each meter had a place of its own there.

        Returns:
            Names of metrics that had other labels or bounds then.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, IndexError: It is something else.
        """
        saved = state["meters"].values()
        changed = self.instruments.restore(
            {
                kind: {name: one for part in saved for name, one in part[kind].items()}
                for kind in ("counted", "open")
            }
        )
        self.withdrawals.restore(state["withdrawals"])
        return changed

    def _join(self, event: HypervisorEvent) -> None:
        if event.event_type == EventType.SESSION_JOINED and event.session_id is not None:
            self.withdrawals.begin_session(event.session_id)
        self._rate_limits.expect(event)
