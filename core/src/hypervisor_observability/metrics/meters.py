"""The meters that there are, and what they tell each other."""

from collections.abc import Callable, Iterator
from typing import Any

from ..event_types import EventType
from ..events import HypervisorEvent
from .activity import EventCounts
from .decisions import GovernanceCounts
from .labels import LabelRules
from .liability import LiabilityMetrics
from .meter import Meter, Moment
from .rings import RingMetrics
from .saga_counts import SagaMetrics
from .security import SecurityMetrics
from .sessions import SessionMetrics
from .usage import UsageMetrics
from .withdrawals import Withdrawals


class Meters:
    """All meters, counting from nothing.

    Args:
        rules: How agents and sessions are shown, and how many.
        now_ns: Gives the present time in nanoseconds since the epoch.

    Attributes:
        moment: On whose behalf events are observed.
        withdrawals: Removes the series of sessions that ended.
    """

    def __init__(self, rules: LabelRules, now_ns: Callable[[], int]) -> None:
        self.moment = Moment()
        self._rings = RingMetrics(rules, now_ns, self.moment)
        self._security = SecurityMetrics(rules)
        self._sessions = SessionMetrics(
            self.moment, on_join=self._join, on_end=self._end, on_gone=self._leave
        )
        with_sessions = (self._rings.transitions, self._rings.breaches)
        self.withdrawals = Withdrawals(
            with_sessions if rules.shows_sessions else (),
            works=self._sessions.works,
            forget_agent=self._rings.forget_agent,
            now_ns=now_ns,
        )
        self._by_name: dict[str, Meter] = {
            "events": EventCounts(),
            "rings": self._rings,
            "sagas": SagaMetrics(self.moment),
            "sessions": self._sessions,
            "liability": LiabilityMetrics(self.moment),
            "security": self._security,
            "governance": GovernanceCounts(rules),
            "usage": UsageMetrics(rules),
        }
        for meter in self:
            meter.instruments.limit(rules.max_series)

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._by_name.values())

    def state(self) -> dict[str, Any]:
        """Give what was counted and what goes on, as plain JSON values."""
        return {
            "meters": {name: meter.instruments.state() for name, meter in self._by_name.items()},
            "withdrawals": self.withdrawals.state(),
        }

    def restore(self, state: Any) -> list[str]:
        """Take what ``state`` gave.

        Returns:
            Names of metrics that had other labels or bounds then.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, IndexError: It is something else.
        """
        saved = state["meters"]
        changed = [
            metric
            for name, meter in self._by_name.items()
            if name in saved
            for metric in meter.instruments.restore(saved[name])
        ]
        self.withdrawals.restore(state["withdrawals"])
        return changed

    def _join(self, event: HypervisorEvent) -> None:
        if event.event_type == EventType.SESSION_JOINED and event.session_id is not None:
            self.withdrawals.begin_session(event.session_id)
        self._rings.expect(event)
        self._security.expect(event)

    def _end(self, session: str) -> None:
        self._rings.end_session(session)
        self.withdrawals.end_session(session)

    def _leave(self, agent: str) -> None:
        self.withdrawals.leave(agent)
