"""Sagas: steps that are undone, newest first, when a later one fails."""

from collections.abc import Mapping
from functools import partial

from ..causality.causal_trace import CausalTraceId
from ..causality.current_trace import current_trace
from ..causality.propagation import Extracted
from ..events import ids
from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..threads.interruptions import ignoring
from .attributes import attributes_set, set_attributes
from .compensation import Compensation, open_compensation
from .event_writer import EventWriter, unless_empty
from .fan_out import FanOut, Policy, open_fan_out
from .opened import Opened
from .place import current_place, link_text
from .saga_outcome import Undo
from .saga_place import SagaPlace
from .saga_step import Step, open_step
from .scope import Scope
from .undoing import is_cancellation, undo_all, undo_all_async


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
        self._attributes: dict[str, object] = {}

    set = set_attributes

    def step(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        max_retries: int | None = None,
        undo: Undo | None = None,
        attributes: Mapping[str, object] | None = None,
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
            attributes: Of your own; recorded with the beginning.
        """
        # A partial, as steps are many: a lambda would be one more call.
        within = self._within
        scope: Scope[Step] = within.writer.scope(
            partial(open_step, within, action, step_id, attempt, max_retries, undo, attributes)
        )
        return scope

    def fan_out(
        self,
        policy: Policy = "all",
        *,
        branch_count: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[FanOut]:
        """Record steps that run beside each other, and whether enough of them succeeded.

        Args:
            policy: How many must: ``all``, ``majority`` or ``any``.
            branch_count: How many there are going to be; by default as many as were begun.
            attributes: As of ``step``.
        """
        scope: Scope[FanOut] = self._within.writer.scope(
            lambda: open_fan_out(self._within, policy, branch_count, attributes)
        )
        return scope

    def compensate(
        self,
        action: str,
        *,
        step_id: str | None = None,
        compensates_step_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope[Compensation]:
        """Record a compensation: succeeded at the end of the block, failed if that raises.

        A step that was compensated so is not undone again by the saga.

        Args:
            action: What it does; of low cardinality.
            step_id: The compensation's own id; by default the action.
            compensates_step_id: The step that it undoes.
            attributes: As of ``step``.
        """
        names = (self._within, action, step_id, compensates_step_id)
        scope: Scope[Compensation] = self._within.writer.scope(
            lambda: open_compensation(*names, attributes=attributes)
        )
        return scope

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
            step_id=None if step_id is None else ids.as_text(step_id),
            checkpoint_id=checkpoint_id,
            goal_hash=unless_empty(goal_hash),
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
            step_id=ids.as_text(step_id),
            from_agent=ids.as_text(from_agent),
            to_agent=ids.as_text(to_agent),
            status=status,
        )

    # Inside

    def opened(self, *, undo: bool) -> "Opened[Saga]":
        """Enter the saga; for ``open_saga``."""
        within = self._within
        return Opened(
            self,
            within.writer.enter(within.place, self.trace),
            within.writer,
            lambda error: self._close(error, undo=undo),
            lambda error: self._close_async(error, undo=undo),
        )

    def _close(self, error: BaseException | None, *, undo: bool) -> None:
        """End the saga; if *undo*, and *error* ended its block, undo its steps before."""
        interruptions: list[BaseException] = []
        try:
            if error is not None and undo:
                interruptions = undo_all(self._within)
        finally:
            self._conclude(error, undo=undo)
        _note(error, interruptions)

    async def _close_async(self, error: BaseException | None, *, undo: bool) -> None:
        """Do as ``_close``, and wait for undos that are asynchronous.

        Raises:
            asyncio.CancelledError: The running task was cancelled meanwhile.
        """
        if not undo or error is None or isinstance(error, GeneratorExit):
            # A coroutine that is being closed cannot await.
            self._close(error, undo=undo)
            return
        interruptions: list[BaseException] = []
        try:
            interruptions = await undo_all_async(self._within)
        finally:
            self._conclude(error, undo=undo)
        _note(error, interruptions)
        for interruption in interruptions:
            if is_cancellation(interruption) and not is_cancellation(error):
                raise interruption

    def _conclude(self, error: BaseException | None, *, undo: bool) -> None:
        conclusion = self._within.outcome.conclude(error, automatic=undo)
        ended: dict[str, object] = {
            "saga_id": self.saga_id,
            "name": self.name,
            "outcome": conclusion.outcome,
            "reason": conclusion.reason,
        }
        if conclusion.failed_compensations:
            ended["failed_compensations"] = list(conclusion.failed_compensations)
        if self._attributes:
            ended["attributes"] = attributes_set(self)
        kind = EventType.SAGA_ESCALATED if conclusion.escalated else EventType.SAGA_COMPLETED
        self._within.writer.write(kind, self._within.place, self.trace, ended)

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
    attributes: Mapping[str, object] | None,
    *,
    undo: bool,
) -> Opened[Saga]:
    """Begin a saga; see ``Recorder.saga``."""
    return _begin(writer, name, saga_id, step_count, caller, attributes).opened(undo=undo)


def open_step_anywhere(
    writer: EventWriter,
    action: str,
    step_id: str | None,
    attempt: int,
    max_retries: int | None,
    undo: Undo | None,
    attributes: Mapping[str, object] | None,
) -> Opened[Step]:
    """Begin a step of the saga around, or of one of its own; see ``Recorder.step``."""
    saga = current_place().saga
    if isinstance(saga, Saga):
        return open_step(saga._within, action, step_id, attempt, max_retries, undo, attributes)
    own = _begin(writer, action, None, 1, None)
    within = own._within
    names = (action, step_id, attempt, max_retries)
    step = open_step(within, *names, undo, attributes, within.place)

    def close(error: BaseException | None) -> None:
        step.end(error)
        own._conclude(error, undo=False)

    return Opened(step.subject, step.inside, writer, close)


def _begin(
    writer: EventWriter,
    name: str,
    saga_id: str | None,
    step_count: int | None,
    caller: Extracted | None,
    attributes: Mapping[str, object] | None = None,
) -> Saga:
    trace, place = writer.next_trace(caller), current_place()
    if type(name) is not str:
        name = ids.as_text(name)
    saga_id = f"{name}-{trace.span_id}" if saga_id is None else ids.as_text(saga_id)
    payload: dict[str, object] = {"saga_id": saga_id, "name": name, "step_count": step_count}
    if caller is not None:
        payload["caller_trace"] = link_text(caller)
    if attributes is not None:
        payload["attributes"] = attributes
    inside = place.within(writer.write(EventType.SAGA_CREATED, place, trace, payload))
    return Saga(name, SagaPlace(writer, saga_id, trace, inside))


def _note(error: BaseException | None, interruptions: list[BaseException]) -> None:
    """Add to the application's exception what it keeps from being raised."""
    for interruption in interruptions:
        if error is not None and not is_cancellation(interruption):
            with ignoring(Exception):  # an exception with notes of its own kind
                error.add_note(f"{type(interruption).__name__} ended an undo before its end")
