"""How a saga ends: what stands, what was undone, what could not be."""

from _thread import RLock  # threading's is a function that calls this
from collections.abc import Callable
from enum import Enum
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
        failed_compensations: The steps whose compensation failed, had not ended or was never
            reached, and those with an undo that still ran.
    """

    outcome: Literal["committed", "compensated", "escalated", "failed"]
    reason: str | None = None
    failed_compensations: tuple[str, ...] = ()

    @property
    def escalated(self) -> bool:
        """Whether somebody must look after it."""
        return self.outcome in {"escalated", "failed"}


class State(Enum):
    """What has become of a step that has an undo."""

    RUNNING = 1
    COMMITTED = 2
    UNDOING = 3
    UNDONE = 4
    STUCK = 5
    """Its undo failed: it is not called again."""


@define(eq=False)
class Undoable:
    """A step that has an undo."""

    step_id: str
    action: str
    undo: Undo
    state: State = State.RUNNING


@define(eq=False)
class SagaOutcome:
    """What has become of a saga's steps so far; steps may run, and end, in many threads.

    Only steps with an undo are noted: one without changes nothing, as far as anybody said.
    """

    # Re-entrant: the garbage collector closes generators, and so ends steps, anywhere.
    _lock: RLock = field(factory=RLock)
    # Those that run, then those that were committed, in that order.
    _running: list[Undoable] = field(factory=list)
    _steps: list[Undoable] = field(factory=list)
    # By the step that was to be undone: whether that succeeded, the last time; None: it runs.
    _compensations: dict[str, bool | None] = field(factory=dict)
    _undoes_late: bool = False
    _compensated: bool = False

    def begun(self, step_id: str, action: str, undo: Undo) -> Undoable:
        """Note that a step begins that has an undo."""
        step = Undoable(step_id, action, undo)
        with self._lock:
            self._running.append(step)
        return step

    def failed(self, step: Undoable) -> None:
        """Note that a step failed: nothing of it is to be undone."""
        with self._lock:
            self._running.remove(step)

    def committed(self, step: Undoable) -> Literal["in time", "late", "undo it"]:
        """Note that a step was done.

        Returns:
            Whether its saga had ended before: ``undo it`` where that undoes its steps by itself
            and failed, ``late`` where it was told to be compensated by other hands.
        """
        with self._lock:
            self._running.remove(step)
            step.state = State.COMMITTED
            self._steps.append(step)
            if not self._undoes_late:
                return "late" if self._compensated else "in time"
            step.state = State.UNDOING
            return "undo it"

    def next_undo(self) -> Undoable | None:
        """Give the newest step that is to be undone, once; None: there is none."""
        with self._lock:
            for step in reversed(self._steps):
                if step.state is State.COMMITTED:
                    step.state = State.UNDOING
                    return step
        return None

    def compensating(self, step_id: str) -> list[Undoable]:
        """Note that a step is being undone by hand; give what of it has an undo."""
        with self._lock:
            self._compensations[step_id] = None
            steps = [step for step in self._steps if step.step_id == step_id]
            steps = [step for step in steps if step.state in (State.COMMITTED, State.STUCK)]
            for step in steps:
                step.state = State.UNDOING
        return steps

    def undoing(self, step: Undoable) -> list[Undoable]:
        """Note that a step is being undone that ``next_undo`` or ``committed`` gave."""
        with self._lock:
            self._compensations[step.step_id] = None
        return [step]

    def compensated(
        self, step_id: str, steps: list[Undoable], *, succeeded: bool, by_hand: bool
    ) -> None:
        """Note that a step was, or could not be, undone."""
        failed = State.COMMITTED if by_hand else State.STUCK
        with self._lock:
            self._compensations[step_id] = succeeded
            for step in steps:
                step.state = State.UNDONE if succeeded else failed

    def conclude(self, error: BaseException | None, *, automatic: bool) -> Conclusion:
        """Tell how the saga ends.

        Args:
            error: What ended its block; None if that went through.
            automatic: Whether the saga undid its steps by itself.
        """
        with self._lock:
            conclusion = self._conclusion(error, automatic=automatic)
            self._undoes_late = automatic and error is not None
            self._compensated = conclusion.outcome == "compensated"
        return conclusion

    def _conclusion(self, error: BaseException | None, *, automatic: bool) -> Conclusion:
        failed = [step_id for step_id, succeeded in self._compensations.items() if not succeeded]
        standing = [
            step.step_id
            for step in [*reversed(self._steps), *self._running]
            if step.state is not State.UNDONE
        ]
        if error is None:
            if failed:
                running = all(self._compensations[step_id] is None for step_id in failed)
                reason = "a compensation had not ended" if running else "a compensation failed"
                return Conclusion("escalated", reason, tuple(failed))
            undone = bool(self._compensations) and not standing
            return Conclusion("compensated") if undone else Conclusion("committed")
        reason = str(describe(error)["reason"])
        if not failed and not standing and (automatic or self._compensations):
            return Conclusion("compensated", reason)
        if failed or automatic:
            return Conclusion("escalated", reason, tuple(dict.fromkeys([*failed, *standing])))
        return Conclusion("failed", reason)
