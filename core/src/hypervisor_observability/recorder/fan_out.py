"""Fan-outs of a saga: branches beside each other, and whether enough of them succeeded."""

import threading
from typing import Literal

from attrs import define, field

from .. import ids
from ..causal_trace import CausalTraceId
from ..event_types import EventType
from .failure import describe
from .saga_outcome import Undo
from .saga_place import SagaPlace
from .saga_step import Step, open_step
from .scope import Opened, Scope

Policy = Literal["all", "majority", "any"]


@define(eq=False)
class FanOut:
    """Branches of a saga, while they run; ``Saga.fan_out`` makes it.

    Branches may be entered from several threads and tasks at once.

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
    _begun: int = field(init=False, default=0)
    _running: dict[Step, Undo | None] = field(init=False, factory=dict)
    _succeeded: list[tuple[str, Undo | None]] = field(init=False, factory=list)
    _failed: int = field(init=False, default=0)

    def branch(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        undo: Undo | None = None,
    ) -> Scope[Step]:
        """Record a branch: a step of the saga that belongs to the fan-out.

        An exception passes through, as everywhere: whether the others go on is for the code
        around to say.

        Args:
            action: As of ``Saga.step``, like the others.
            step_id: Likewise.
            attempt: Likewise.
            undo: Likewise.
        """
        return Scope(lambda: self._open_branch(action, step_id, attempt, undo))

    @property
    def policy_satisfied(self) -> bool:
        """Whether enough branches succeeded so far."""
        given: object = self._branch_count
        branches = given if isinstance(given, int) else self._begun
        needed = {"majority": branches // 2 + 1, "any": 1}.get(ids.as_text(self.policy), branches)
        return len(self._succeeded) >= needed

    # Inside

    def resolution(self) -> dict[str, object]:
        """Give what is recorded of the end; for ``open_fan_out``."""
        with self._lock:
            satisfied = self.policy_satisfied
            running = [(step.step_id, undo) for step, undo in self._running.items()]
            undoable = [id_ for id_, undo in self._succeeded + running if undo is not None]
            return {
                "success_count": len(self._succeeded),
                "failure_count": self._failed,
                "policy_satisfied": satisfied,
                "compensation_needed": [] if satisfied else undoable,
            }

    def _open_branch(
        self, action: str, step_id: str | None, attempt: int, undo: Undo | None
    ) -> Opened[Step]:
        opened = open_step(self._above, action, step_id, attempt, None, undo)
        step = opened.subject
        with self._lock:
            self._begun += 1
            self._running[step] = undo

        def note(error: BaseException | None) -> None:
            with self._lock:
                del self._running[step]
                if error is None:
                    self._succeeded.append((step.step_id, undo))
                else:
                    self._failed += 1

        def close(error: BaseException | None) -> None:
            note(error)
            opened.end(error)

        async def close_async(error: BaseException | None) -> None:
            note(error)
            await opened.end_async(error)

        return opened._replace(close=close, close_async=close_async)


def open_fan_out(saga: SagaPlace, policy: Policy, branch_count: int | None) -> Opened[FanOut]:
    """Begin a fan-out; see ``Saga.fan_out``."""
    trace, place = saga.trace.child(), saga.place_of_part()
    group_id = ids.event_id_text(ids.next_number())
    payload = {"saga_id": saga.saga_id, "group_id": group_id, "policy": policy}
    started = saga.writer.write(
        EventType.SAGA_FANOUT_STARTED, place, trace, {**payload, "branch_count": branch_count}
    )
    inside = place.within(started)
    fan_out = FanOut(group_id, policy, trace, saga.below(trace, inside), branch_count)

    def close(error: BaseException | None) -> None:
        resolved = {**payload, **fan_out.resolution(), **describe(error)}
        saga.writer.write(EventType.SAGA_FANOUT_RESOLVED, inside, trace, resolved)

    return Opened(fan_out, saga.writer.enter(inside, trace), saga.writer, close)
