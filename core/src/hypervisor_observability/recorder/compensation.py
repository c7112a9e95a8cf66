"""Compensations of a saga, from start to success or failure."""

from attrs import frozen

from ..causal_trace import CausalTraceId
from ..event_types import EventType
from .failure import describe
from .saga_place import SagaPlace
from .scope import Opened


@frozen(eq=False)
class Compensation:
    """A compensation of a saga, while it runs.

    Attributes:
        step_id: The compensation's own id.
        action: What it does; of low cardinality.
        compensates_step_id: The step that it undoes; None where that was not told.
        trace: The compensation's own causal id.
    """

    step_id: str
    action: str
    compensates_step_id: str | None
    trace: CausalTraceId


def open_compensation(
    above: SagaPlace, action: str, step_id: str | None, compensates_step_id: str | None
) -> Opened[Compensation]:
    """Begin a compensation; see ``Saga.compensate``."""
    trace = above.trace.child()
    name = step_id if step_id is not None else action
    place = above.place_of_part()
    payload = {**above.names(name, action), "compensates_step_id": compensates_step_id}
    write = above.writer.write
    started = write(EventType.SAGA_COMPENSATING, place, trace, {**payload, "phase": "started"})
    inside = place.within(started)
    leave = above.writer.enter(inside, trace)

    def close(error: BaseException | None) -> None:
        leave()
        undone = name if compensates_step_id is None else compensates_step_id
        above.outcome.compensated(undone, succeeded=error is None)
        phase = "succeeded" if error is None else "failed"
        ended = {**payload, "phase": phase, **describe(error)}
        write(EventType.SAGA_COMPENSATING, inside, trace, ended)

    return Opened(Compensation(name, action, compensates_step_id, trace), close)
