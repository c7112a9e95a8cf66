"""Steps of a saga, from start to commitment or failure."""

from attrs import define

from ..causal_trace import CausalTraceId
from ..event_types import EventType
from .failure import describe
from .saga_outcome import Undo
from .saga_place import SagaPlace
from .scope import Opened


@define(eq=False)
class Step:
    """A step of a saga, while it runs.

    Attributes:
        step_id: Unique within the saga, but for further attempts.
        action: What it does; of low cardinality.
        attempt: 1 for the first.
        trace: The step's own causal id.
        result: Set it to the text that the step's success is recorded with.
    """

    step_id: str
    action: str
    attempt: int
    trace: CausalTraceId
    result: str | None = None


def open_step(
    above: SagaPlace,
    action: str,
    step_id: str | None,
    attempt: int,
    max_retries: int | None,
    undo: Undo | None,
) -> Opened[Step]:
    """Begin a step; see ``Saga.step``."""
    trace = above.trace.child()
    # As trace.full_id says it, which would make text of the ids above for each step anew.
    causal_id = f"{above.trace.trace_id}/{trace.span_id}/{above.trace.span_id}"
    name = step_id if step_id is not None else above.free_step_id(action, attempt)
    step = Step(step_id=name, action=action, attempt=attempt, trace=trace)
    place = above.place_of_part()
    payload = above.names(name, action)
    payload["attempt"] = attempt
    if max_retries is not None:
        payload["max_retries"] = max_retries
    write = above.writer.write_known
    undoable = {**payload, "undo_api_present": undo is not None}
    inside = place.within(write(EventType.SAGA_STEP_STARTED, place, causal_id, undoable))
    leave = above.writer.enter(inside, trace)

    def close(error: BaseException | None) -> None:
        leave()
        if error is not None:
            payload.update(describe(error))
            if max_retries is not None:
                payload["will_retry"] = isinstance(error, Exception) and attempt <= max_retries
            write(EventType.SAGA_STEP_FAILED, inside, causal_id, payload)
            return
        if undo is not None:
            above.outcome.committed(name, action, undo)
        if step.result is not None:
            payload["result"] = step.result
        write(EventType.SAGA_STEP_COMMITTED, inside, causal_id, payload)

    return Opened(step, close)
