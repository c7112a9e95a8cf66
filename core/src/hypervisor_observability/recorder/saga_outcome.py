"""How a saga ends: what stands, what was undone, what could not be."""

from collections.abc import Callable
from typing import Literal

from attrs import define, field, frozen

from .failure import describe

Undo = Callable[[], object]


@frozen
class Conclusion:
    """The end of a saga.

    Attributes:
        outcome: ``committed``: what was done stands; ``compensated``: it was undone;
            ``escalated``: undoing failed; ``failed``: nobody undid it. The last two need
            somebody's attention.
        reason: Why it is not ``committed``; None if it is.
        failed_compensations: The steps whose compensation failed or was never reached.
    """

    outcome: Literal["committed", "compensated", "escalated", "failed"]
    reason: str | None = None
    failed_compensations: tuple[str, ...] = ()

    @property
    def escalated(self) -> bool:
        """Whether somebody must look after it."""
        return self.outcome in {"escalated", "failed"}


@frozen(eq=False)
class _Committed:
    step_id: str
    action: str
    undo: Undo


@define(eq=False)
class SagaOutcome:
    """What has become of a saga's steps so far.

    Only steps with an undo are noted: one without changes nothing, as far as anybody said.
    """

    _steps: list[_Committed] = field(factory=list)
    # By the step that was to be undone: whether that succeeded, the last time.
    _compensations: dict[str, bool] = field(factory=dict)

    def committed(self, step_id: str, action: str, undo: Undo) -> None:
        """Note that a step was done that has an undo."""
        self._steps.append(_Committed(step_id, action, undo))

    def compensated(self, step_id: str, *, succeeded: bool) -> None:
        """Note that a step was, or could not be, undone."""
        self._compensations[step_id] = succeeded

    def undos(self) -> list[tuple[str, str, Undo]]:
        """Give action, step id and undo of what is still to be undone, newest first."""
        return [
            (step.action, step.step_id, step.undo)
            for step in reversed(self._steps)
            if not self._compensations.get(step.step_id)
        ]

    def conclude(self, error: BaseException | None, *, automatic: bool) -> Conclusion:
        """Tell how the saga ends.

        Args:
            error: What ended its block; None if that went through.
            automatic: Whether the saga undid its steps by itself.
        """
        failed = [step_id for step_id, succeeded in self._compensations.items() if not succeeded]
        standing = [step_id for _, step_id, _ in self.undos()]
        if error is None:
            if failed:
                return Conclusion("escalated", "a compensation failed", tuple(failed))
            undone = bool(self._compensations) and not standing
            return Conclusion("compensated") if undone else Conclusion("committed")
        reason = str(describe(error)["reason"])
        if not failed and not standing and (automatic or self._compensations):
            return Conclusion("compensated", reason)
        if failed or automatic:
            # Those behind the first were never reached if an undo itself was interrupted.
            return Conclusion("escalated", reason, tuple(dict.fromkeys([*failed, *standing])))
        return Conclusion("failed", reason)
