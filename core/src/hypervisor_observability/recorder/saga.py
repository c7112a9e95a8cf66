"""Sagas: steps that are undone, newest first, when a later one fails."""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from ..causal_trace import CausalTraceId
from ..event_types import EventType
from ..propagation import Extracted
from .event_writer import EventWriter
from .failure import describe
from .place import Place, current_place, enter, link_text, next_trace
from .saga_outcome import SagaOutcome, Undo
from .saga_step import Compensation, Step
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

    def __init__(
        self, writer: EventWriter, saga_id: str, name: str, trace: CausalTraceId, place: Place
    ) -> None:
        self.saga_id = saga_id
        self.name = name
        self.trace = trace
        self._writer = writer
        self._place = place
        self._outcome = SagaOutcome()
        self._lock = threading.Lock()
        self._uses: Counter[tuple[str, int]] = Counter()

    def step(
        self,
        action: str,
        *,
        step_id: str | None = None,
        attempt: int = 1,
        undo: Undo | None = None,
    ) -> Scope[Step]:
        """Record a step: committed at the end of the block, failed if that raises.

        Args:
            action: What it does; of low cardinality.
            step_id: Unique within the saga; by default the action, numbered from its second
                use with the same *attempt* on. Attempts of one step share their id.
            attempt: 1 for the first.
            undo: Takes back what the step did; called without arguments if the saga
                compensates. In a saga entered by ``async with`` it may be asynchronous.
        """
        return Scope(lambda: self._open_step(action, step_id, attempt, undo))

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
        return Scope(lambda: self._open_compensation(action, step_id, compensates_step_id))

    # Inside

    def opened(self, leave: Callable[[], None], *, undo: bool) -> "Opened[Saga]":
        """Give the saga as a scope; for ``open_saga``."""
        return Opened(
            self,
            lambda error: self._close(error, leave, undo=undo),
            lambda error: self._close_async(error, leave, undo=undo),
        )

    def _close(self, error: BaseException | None, leave: Callable[[], None], *, undo: bool) -> None:
        """End the saga; if *undo*, and *error* ended its block, undo its steps before."""
        try:
            if error is not None and undo:
                for action, step_id, function in self._outcome.undos():
                    self._undo(action, step_id, function)
        finally:
            self._conclude(error, leave, undo=undo)

    async def _close_async(
        self, error: BaseException | None, leave: Callable[[], None], *, undo: bool
    ) -> None:
        """Do as ``_close``, and wait for undos that are asynchronous."""
        try:
            if error is not None and undo:
                for action, step_id, function in self._outcome.undos():
                    await self._undo_async(action, step_id, function)
        finally:
            self._conclude(error, leave, undo=undo)

    def _open_step(
        self, action: str, step_id: str | None, attempt: int, undo: Undo | None
    ) -> Opened[Step]:
        trace = self.trace.child()
        # As trace.full_id says it, which would make text of the saga's ids for each step anew.
        causal_id = f"{self.trace.trace_id}/{trace.span_id}/{self.trace.span_id}"
        name = step_id if step_id is not None else self._free_step_id(action, attempt)
        step = Step(step_id=name, action=action, attempt=attempt, trace=trace)
        place = self._place_within()
        payload: dict[str, object] = {
            "saga_id": self.saga_id,
            "step_id": name,
            "step_action": action,
            "attempt": attempt,
        }
        write = self._writer.write_known
        started = write(
            EventType.SAGA_STEP_STARTED,
            place,
            causal_id,
            {**payload, "undo_api_present": undo is not None},
        )
        inside = place.within(started)
        leave = enter(inside, trace)

        def close(error: BaseException | None) -> None:
            leave()
            if error is not None:
                payload.update(describe(error))
                write(EventType.SAGA_STEP_FAILED, inside, causal_id, payload)
                return
            if undo is not None:
                self._outcome.committed(name, action, undo)
            if step.result is not None:
                payload["result"] = step.result
            write(EventType.SAGA_STEP_COMMITTED, inside, causal_id, payload)

        return Opened(step, close)

    def _open_compensation(
        self, action: str, step_id: str | None, compensates_step_id: str | None
    ) -> Opened[Compensation]:
        trace = self.trace.child()
        name = step_id if step_id is not None else action
        place = self._place_within()
        payload = {**self._names(name, action), "compensates_step_id": compensates_step_id}
        started = self._writer.write(
            EventType.SAGA_COMPENSATING, place, trace, {**payload, "phase": "started"}
        )
        inside = place.within(started)
        leave = enter(inside, trace)

        def close(error: BaseException | None) -> None:
            leave()
            undone = name if compensates_step_id is None else compensates_step_id
            self._outcome.compensated(undone, succeeded=error is None)
            details: Mapping[str, object] = {"phase": "succeeded"}
            if error is not None:
                details = {"phase": "failed", **describe(error)}
            self._writer.write(EventType.SAGA_COMPENSATING, inside, trace, {**payload, **details})

        return Opened(Compensation(name, action, compensates_step_id, trace), close)

    def _undo(self, action: str, step_id: str, function: Undo) -> None:
        try:
            with self._compensation_of(action, step_id):
                _refuse_awaitable(function())
        except Exception as error:  # noqa: BLE001 - it is recorded, and the other undos must run
            self._writer.undo_failed(action, error)

    async def _undo_async(self, action: str, step_id: str, function: Undo) -> None:
        try:
            async with self._compensation_of(action, step_id):
                returned = function()
                if isinstance(returned, Awaitable):
                    await returned
        except Exception as error:  # noqa: BLE001 - it is recorded, and the other undos must run
            self._writer.undo_failed(action, error)

    def _compensation_of(self, action: str, step_id: str) -> Scope[Compensation]:
        return self.compensate(
            f"undo-{action}", step_id=f"undo-{step_id}", compensates_step_id=step_id
        )

    def _conclude(
        self, error: BaseException | None, leave: Callable[[], None], *, undo: bool
    ) -> None:
        leave()
        conclusion = self._outcome.conclude(error, automatic=undo)
        self._writer.write(
            EventType.SAGA_ESCALATED if conclusion.escalated else EventType.SAGA_COMPLETED,
            self._place,
            self.trace,
            {
                "saga_id": self.saga_id,
                "name": self.name,
                "outcome": conclusion.outcome,
                "reason": conclusion.reason,
                "failed_compensations": list(conclusion.failed_compensations) or None,
            },
        )

    def _place_within(self) -> Place:
        here, saga = current_place(), self._place
        # Within the saga's own scope, which is where most steps are, they are one.
        return saga if here is saga else here.or_else(saga)._replace(opened_by=saga.opened_by)

    def _names(self, step_id: str, action: str) -> dict[str, object]:
        return {"saga_id": self.saga_id, "step_id": step_id, "step_action": action}

    def _free_step_id(self, action: str, attempt: int) -> str:
        with self._lock:
            self._uses[action, attempt] += 1
            uses = self._uses[action, attempt]
        return action if uses == 1 else f"{action}-{uses}"


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
    trace, place = next_trace(caller), current_place()
    if saga_id is None:
        saga_id = f"{name}-{trace.span_id}"
    payload = {
        "saga_id": saga_id,
        "name": name,
        "step_count": step_count,
        "caller_trace": link_text(caller),
    }
    inside = place.within(writer.write(EventType.SAGA_CREATED, place, trace, payload))
    leave = enter(inside, trace)
    return Saga(writer, saga_id, name, trace, inside).opened(leave, undo=undo)


def _refuse_awaitable(returned: object) -> None:
    if isinstance(returned, Coroutine):
        returned.close()  # or it warns that nobody awaited it
    if isinstance(returned, Awaitable):
        raise TypeError("an asynchronous undo needs a saga entered by 'async with'")
