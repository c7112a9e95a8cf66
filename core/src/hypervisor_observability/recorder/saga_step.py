"""Steps of a saga, from start to commitment or failure."""

from collections.abc import Callable, Mapping

from attrs import define, field

from ..causality.causal_trace import CausalTraceId
from ..events import ids
from ..events.event_types import EventType
from ..threads.interruptions import ignoring
from ..values.scalars import plain_scalar
from .attributes import attributes_set, set_attributes
from .failure import how_it_failed
from .opened import Opened
from .place import Place
from .saga_outcome import Undo, Undoable
from .saga_place import SagaPlace
from .undoing import is_cancellation
from .undoing import undo as undo_step
from .undoing import undo_async as undo_step_async

Close = Callable[[BaseException | None], None]


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
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes


def open_step(
    above: SagaPlace,
    action: str,
    step_id: str | None,
    attempt: int,
    max_retries: int | None,
    undo: Undo | None,
    attributes: Mapping[str, object] | None,
    place: Place | None = None,
) -> Opened[Step]:
    """Begin a step; see ``Saga.step``. *place* is where it begins, by default here."""
    trace = above.trace.child()
    # As trace.full_id says it, which would make text of the ids above for each step anew.
    causal_id = f"{above.trace.trace_id}/{trace.span_id}/{above.trace.span_id}"
    if type(action) is not str:
        action = ids.as_text(action)
    step_id = above.free_step_id(action, attempt) if step_id is None else ids.as_text(step_id)
    step = Step(step_id, action, attempt, trace)
    if place is None:
        place = above.place_of_part()
    payload = above.names(step_id, action)
    payload["attempt"] = attempt
    if max_retries is not None:
        payload["max_retries"] = max_retries
    write = above.writer.write_known
    undoable = {**payload, "undo_api_present": undo is not None}
    if attributes is not None:
        undoable["attributes"] = attributes
    inside = place.within(write(EventType.SAGA_STEP_STARTED, place, causal_id, undoable))

    def close(error: BaseException | None) -> None:
        write(_end(step, error, payload), inside, causal_id, payload)

    standing = above.writer.enter(inside, trace)
    if undo is None:
        return Opened(step, standing, above.writer, close)
    noted = above.outcome.begun(step_id, action, undo)
    return Opened(
        step,
        standing,
        above.writer,
        lambda error: _end_noted(above, noted, error, close),
        lambda error: _end_noted_async(above, noted, error, close),
    )


def _end(step: Step, error: BaseException | None, payload: dict[str, object]) -> EventType:
    """Add to *payload* how a step ended; give the type of the event that says so."""
    if step._attributes:
        payload["attributes"] = attributes_set(step)
    if error is None:
        if step.result is not None:
            payload["result"] = step.result
        return EventType.SAGA_STEP_COMMITTED
    payload.update(how_it_failed(error))
    if "max_retries" in payload:
        more = _more(payload["attempt"], payload["max_retries"])
        payload["will_retry"] = isinstance(error, Exception) and more
    return EventType.SAGA_STEP_FAILED


def _end_noted(
    above: SagaPlace, noted: Undoable, error: BaseException | None, close: Close
) -> None:
    if not _is_late(above, noted, error, close):
        return
    for interruption in undo_step(above, noted):
        if not is_cancellation(interruption):
            raise interruption


async def _end_noted_async(
    above: SagaPlace, noted: Undoable, error: BaseException | None, close: Close
) -> None:
    if _is_late(above, noted, error, close):
        for interruption in await undo_step_async(above, noted):
            raise interruption


def _is_late(above: SagaPlace, noted: Undoable, error: BaseException | None, close: Close) -> bool:
    """Record the end of a step that has an undo; tell whether it is to be undone at once."""
    if error is not None:
        above.outcome.failed(noted)
        close(error)
        return False
    close(None)
    verdict = above.outcome.committed(noted)
    if verdict == "late":
        above.writer.committed_late(above.saga_id, noted.step_id)
    return verdict == "undo it"


def _more(attempt: object, max_retries: object) -> bool:
    with ignoring(Exception):  # what cannot be compared says nothing about retries
        return bool(plain_scalar(attempt) <= plain_scalar(max_retries))
    return False
