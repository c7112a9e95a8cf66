"""Fan-outs of a saga: branches beside each other, and whether enough of them succeeded."""

import threading
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from attrs import define, evolve, field

from ..causality.causal_trace import CausalTraceId
from ..events import ids
from ..events.event_types import EventType
from ..values.scalars import plain_scalar
from .attributes import attributes_set, set_attributes
from .failure import describe
from .opened import Opened
from .saga_outcome import Undo
from .saga_place import SagaPlace
from .saga_step import Step, open_step
from .scope import Scope

Policy = Literal["all", "majority", "any"]
T = TypeVar("T")


@define(eq=False)
class _Branch:
    """The last attempt at a branch.

    Attributes:
        step: The attempt.
        undo: Takes back what it did.
        succeeded: How it ended; None while it runs.
    """

    step: Step
    undo: Undo | None
    succeeded: bool | None = None


@define(eq=False)
class FanOut:
    """Branches of a saga, while they run; ``Saga.fan_out`` makes it.

    Branches may be entered from several threads and tasks at once. A branch that is tried again
    is one branch, by its ``step_id``: its last attempt counts.

    Attributes:
        group_id: Unique within the process and beyond.
        policy: How many branches must succeed.
        trace: The fan-out's own causal id.
    """

    group_id: str
    policy: Policy
    trace: CausalTraceId
    _above: SagaPlace = field(alias="above")
    _branch_count: int | None = field(alias="branch_count")
    # Re-entrant: the garbage collector closes generators, and so ends branches, anywhere.
    _lock: threading.RLock = field(init=False, factory=threading.RLock)
    _branches: dict[str, _Branch] = field(init=False, factory=dict)
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes

    def branch(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        undo: Undo | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Step]:
        """Record a branch: a step of the saga that belongs to the fan-out.

        An exception passes through, as everywhere: whether the others go on is for the code
        around to say.

        Args:
            action: As of ``Saga.step``, like the others.
            step_id: Likewise.
            attempt: Likewise.
            undo: Likewise.
            attributes: Likewise.
        """
        scope: Scope[Step] = self._above.writer.scope(
            lambda: self._open_branch(action, step_id, attempt, undo, attributes)
        )
        return scope

    @property
    def policy_satisfied(self) -> bool:
        """Whether enough branches succeeded so far."""
        given: object = plain_scalar(self._branch_count)  # as it is recorded
        branches = given if isinstance(given, int) else len(self._branches)
        needed = {"majority": branches // 2 + 1, "any": 1}.get(ids.as_text(self.policy), branches)
        return len(self._ended(succeeded=True)) >= needed

    # Inside

    def resolution(self) -> dict[str, object]:
        """Give what is recorded of the end; for ``open_fan_out``."""
        with self._lock:
            satisfied = self.policy_satisfied
            done = self._ended(succeeded=True)
            undoable = [one for one in done + self._ended(succeeded=None) if one.undo is not None]
            return {
                "success_count": len(done),
                "failure_count": len(self._ended(succeeded=False)),
                "policy_satisfied": satisfied,
                "compensation_needed": [] if satisfied else [one.step.step_id for one in undoable],
            }

    def _ended(self, *, succeeded: bool | None) -> list[_Branch]:
        with self._lock:
            return [one for one in self._branches.values() if one.succeeded is succeeded]

    def _open_branch(
        self,
        action: str,
        step_id: str | None,
        attempt: int,
        undo: Undo | None,
        attributes: Mapping[str, object] | None,
    ) -> Opened[Step]:
        opened = open_step(self._above, action, step_id, attempt, None, undo, attributes)
        # In the place of the attempt before it, whatever becomes of that.
        branch = _Branch(opened.subject, undo)
        with self._lock:
            self._branches[opened.subject.step_id] = branch

        def noting(end: Callable[[BaseException | None], T]) -> Callable[[BaseException | None], T]:
            def close(error: BaseException | None) -> T:
                with self._lock:
                    branch.succeeded = error is None
                return end(error)

            return close

        return evolve(opened, close=noting(opened.end), close_async=noting(opened.end_async))


def open_fan_out(
    saga: SagaPlace,
    policy: Policy,
    branch_count: int | None,
    attributes: Mapping[str, object] | None,
) -> Opened[FanOut]:
    """Begin a fan-out; see ``Saga.fan_out``."""
    trace, place = saga.trace.child(), saga.place_of_part()
    group_id = ids.event_id_text(ids.next_number())
    payload = {"saga_id": saga.saga_id, "group_id": group_id, "policy": policy}
    begun = {**payload, "branch_count": branch_count, "attributes": attributes}
    inside = place.within(saga.writer.write(EventType.SAGA_FANOUT_STARTED, place, trace, begun))
    fan_out = FanOut(group_id, policy, trace, saga.below(trace, inside), branch_count)

    def close(error: BaseException | None) -> None:
        resolved = {**payload, **fan_out.resolution(), **describe(error)}
        resolved["attributes"] = attributes_set(fan_out)
        saga.writer.write(EventType.SAGA_FANOUT_RESOLVED, inside, trace, resolved)

    return Opened(fan_out, saga.writer.enter(inside, trace), saga.writer, close)
