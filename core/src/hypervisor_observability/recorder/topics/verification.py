"""Checks of what agents do and did."""

from collections.abc import Sequence

from ...events.event import HypervisorEvent
from ...events.event_types import EventType
from .topic import Topic


class Verification(Topic):
    """Records what checks of the agent's behaviour and history found."""

    def behavior_drift(
        self,
        drift_score: float,
        *,
        threshold: float | None = None,
        passed: bool | None = None,
        severity: str | None = None,
        action_id: str | None = None,
    ) -> HypervisorEvent | None:
        """Record how far the agent is from what is expected of it.

        Args:
            drift_score: How far: 0 is not at all.
            threshold: How far it may be.
            passed: Whether it is within that.
            severity: ``low``, ``medium``, ``high`` or ``critical``.
            action_id: The action that was looked at.
        """
        return self._record(EventType.BEHAVIOR_DRIFT, locals())

    def history_verified(
        self,
        status: str,
        *,
        transactions_checked: int | None = None,
        transactions_found: int | None = None,
        inconsistencies: Sequence[str] | None = None,
        cached: bool | None = None,
    ) -> HypervisorEvent | None:
        """Record what a check of the agent's history found.

        Args:
            status: The finding.
            transactions_checked: How many were looked for.
            transactions_found: How many were there.
            inconsistencies: What does not fit.
            cached: Whether an earlier finding was used.
        """
        inconsistencies = None if inconsistencies is None else list(inconsistencies)
        return self._record(EventType.HISTORY_VERIFIED, locals())
