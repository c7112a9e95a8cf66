"""Sagas: steps that are undone, newest first, when a later one fails."""

from collections.abc import Awaitable, Callable, Coroutine

from .. import ids
from ..causal_trace import CausalTraceId
from ..current_trace import current_trace
from ..event_types import EventType
from ..events import HypervisorEvent
from ..propagation import Extracted
from .compensation import Compensation, open_compensation
from .event_writer import EventWriter
from .fan_out import FanOut, Policy, open_fan_out
from .place import current_place, link_text
from .saga_outcome import Undo
from .saga_place import SagaPlace
from .saga_step import Step, open_step
from .scope import Opened, Scope


class Saga:
    """A saga, while it runs; ``Recorder.saga`` makes it.

    Steps may be entered from several threads and tasks at once, also from threads that know
    nothing of the surrounding scope: what they do not know is taken from the saga.

    Attributes:
        saga_id: Unique.
        name: What kind of saga it is; of low cardinality.
        trace: The saga's own causal id.
    """

    def __init__(self, name: str, within: SagaPlace) -> None:
        self.saga_id = within.saga_id
        self.name = name
        self.trace = within.trace
        # The place inside names the saga itself, so that code further down finds it.
        self._within = within.below(within.trace, within.place._replace(saga=self))

    def step(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        max_retries: int | None = None,
        undo: Undo | None = None,
    ) -> Scope[Step]:
        """Record a step: committed at the end of the block, failed if that raises.

        Args:
            action: What it does; of low cardinality.
            step_id: Unique within the saga; by default the action, numbered from its second
                use with the same *attempt* on. Attempts of one step share their id.
            attempt: 1 for the first.
            max_retries: How often it is tried again at most: a failure is then recorded
                with ``will_retry``. Trying again is for the code around.
            undo: Takes back what the step did; called without arguments if the saga
                compensates. In a saga entered by ``async with`` it may be asynchronous.
        """
        within = self._within
        return Scope(lambda: open_step(within, action, step_id, attempt, max_retries, undo))

    def fan_out(self, policy: Policy = "all", *, branch_count: int | None = None) -> Scope[FanOut]:
        """Record steps that run beside each other, and whether enough of them succeeded.

        Args:
            policy: How many must: ``all``, ``majority`` or ``any``.
            branch_count: How many there are going to be; by default as many as were begun.
        """
        return Scope(lambda: open_fan_out(self._within, policy, branch_count))

    def compensate(
        self, action: str, *, step_id: str | None = None, compensates_step_id: str | None = None
    ) -> Scope[Compensation]:
        """Record a compensation: succeeded at the end of the block, failed if that raises.

        A step that was compensated so is not undone again by the saga.

        Args:
            action: What it does; of low cardinality.
            step_id: The compensation's own id; by default the action.
            compensates_step_id: The step that it undoes.
        """
        within = self._within
        return Scope(lambda: open_compensation(within, action, step_id, compensates_step_id))

    def checkpoint(
        self, *, step_id: str | None = None, checkpoint_id: str | None = None, goal_hash: str = ""
    ) -> HypervisorEvent | None:
        """Record that the state was saved from which the saga can go on.

        Args:
            step_id: The last step that is in it.
            checkpoint_id: Unique; drawn by default.
            goal_hash: Digest of what was reached.

        Returns:
            The event; None if it could not be recorded.
        """
        if checkpoint_id is None:
            checkpoint_id = ids.event_id_text(ids.next_number())
        return self._record(
            EventType.SAGA_CHECKPOINT_SAVED,
            step_id=step_id,
            checkpoint_id=checkpoint_id,
            goal_hash=goal_hash or None,
        )

    def handoff(
        self, step_id: str, *, from_agent: str, to_agent: str, status: str = "handed_off"
    ) -> HypervisorEvent | None:
        """Record that a step goes from one agent to another.

        Args:
            step_id: The step.
            from_agent: Identifier of the agent that had it.
            to_agent: Identifier of the one that has it now.
            status: ``pending``, ``handed_off``, ``failed`` or ``compensated``.

        Returns:
            The event; None if it could not be recorded.
        """
        return self._record(
            EventType.SAGA_HANDOFF,
            step_id=step_id,
            from_agent=from_agent,
            to_agent=to_agent,
            status=status,
        )

    # Inside

    def opened(self, *, undo: bool) -> "Opened[Saga]":
        """Enter the saga; for ``open_saga``."""
        leave = self._within.writer.enter(self._within.place, self.trace)
        return Opened(
            self,
            lambda error: self._close(error, leave, undo=undo),
            lambda error: self._close_async(error, leave, undo=undo),
        )

    def _close(self, error: BaseException | None, leave: Callable[[], None], *, undo: bool) -> None:
        """End the saga; if *undo*, and *error* ended its block, undo its steps before."""
        try:
            if error is not None and undo:
                for action, step_id, function in self._within.outcome.undos():
                    self._undo(action, step_id, function)
        finally:
            self._conclude(error, leave, undo=undo)

    async def _close_async(
        self, error: BaseException | None, leave: Callable[[], None], *, undo: bool
    ) -> None:
        """Do as ``_close``, and wait for undos that are asynchronous."""
        try:
            if error is not None and undo:
                for action, step_id, function in self._within.outcome.undos():
                    await self._undo_async(action, step_id, function)
        finally:
            self._conclude(error, leave, undo=undo)

    def _undo(self, action: str, step_id: str, function: Undo) -> None:
        try:
            with self._compensation_of(action, step_id):
                _refuse_awaitable(function())
        except Exception as error:  # noqa: BLE001 - it is recorded, and the other undos must run
            self._within.writer.undo_failed(action, error)

    async def _undo_async(self, action: str, step_id: str, function: Undo) -> None:
        try:
            async with self._compensation_of(action, step_id):
                returned = function()
                if isinstance(returned, Awaitable):
                    await returned
        except Exception as error:  # noqa: BLE001 - it is recorded, and the other undos must run
            self._within.writer.undo_failed(action, error)

    def _compensation_of(self, action: str, step_id: str) -> Scope[Compensation]:
        return self.compensate(
            f"undo-{action}", step_id=f"undo-{step_id}", compensates_step_id=step_id
        )

    def _conclude(
        self, error: BaseException | None, leave: Callable[[], None], *, undo: bool
    ) -> None:
        leave()
        conclusion = self._within.outcome.conclude(error, automatic=undo)
        self._within.writer.write(
            EventType.SAGA_ESCALATED if conclusion.escalated else EventType.SAGA_COMPLETED,
            self._within.place,
            self.trace,
            {
                "saga_id": self.saga_id,
                "name": self.name,
                "outcome": conclusion.outcome,
                "reason": conclusion.reason,
                "failed_compensations": list(conclusion.failed_compensations) or None,
            },
        )

    def _record(self, event_type: EventType, **payload: object) -> HypervisorEvent | None:
        trace: CausalTraceId = current_trace() or self.trace
        place = current_place().or_else(self._within.place)
        payload = {"saga_id": self.saga_id, **payload}
        return self._within.writer.write(event_type, place, trace, payload)


def open_saga(
    writer: EventWriter,
    name: str,
    saga_id: str | None,
    step_count: int | None,
    caller: Extracted | None,
    *,
    undo: bool,
) -> Opened[Saga]:
    """Begin a saga; see ``Recorder.saga``."""
    trace, place = writer.next_trace(caller), current_place()
    if saga_id is None:
        saga_id = f"{name}-{trace.span_id}"
    payload = {
        "saga_id": saga_id,
        "name": name,
        "step_count": step_count,
        "caller_trace": link_text(caller),
    }
    inside = place.within(writer.write(EventType.SAGA_CREATED, place, trace, payload))
    return Saga(name, SagaPlace(writer, saga_id, trace, inside)).opened(undo=undo)


def open_step_anywhere(
    writer: EventWriter,
    action: str,
    step_id: str | None,
    attempt: int,
    max_retries: int | None,
    undo: Undo | None,
) -> Opened[Step]:
    """Begin a step of the saga around, or of one of its own; see ``Recorder.step``."""
    saga = current_place().saga
    if isinstance(saga, Saga):
        return open_step(saga._within, action, step_id, attempt, max_retries, undo)
    own = open_saga(writer, action, None, 1, None, undo=False)
    step = open_step(own.subject._within, action, step_id, attempt, max_retries, undo)

    def close(error: BaseException | None) -> None:
        step.close(error)
        own.close(error)

    return Opened(step.subject, close)


def _refuse_awaitable(returned: object) -> None:
    if isinstance(returned, Coroutine):
        returned.close()  # or it warns that nobody awaited it
    if isinstance(returned, Awaitable):
        raise TypeError("an asynchronous undo needs a saga entered by 'async with'")
