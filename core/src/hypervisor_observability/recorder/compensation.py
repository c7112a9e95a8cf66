"""Compensations of a saga, from start to success or failure."""

from collections.abc import Mapping

from attrs import field, frozen

from ..causality.causal_trace import CausalTraceId
from ..events import ids
from ..events.event_types import EventType
from .attributes import attributes_set, set_attributes
from .failure import describe
from .opened import Opened
from .saga_outcome import Undoable
from .saga_place import SagaPlace


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
    _attributes: dict[str, object] = field(init=False, factory=dict)

    set = set_attributes


def open_compensation(
    above: SagaPlace,
    action: str,
    step_id: str | None,
    compensates_step_id: str | None,
    undone_by_saga: Undoable | None = None,
    attributes: Mapping[str, object] | None = None,
) -> Opened[Compensation]:
    """Begin a compensation; see ``Saga.compensate``.

    Args:
        above: The saga.
        action: What it does.
        step_id: Its own id.
        compensates_step_id: The step that it undoes.
        undone_by_saga: That step, where the saga undoes it by itself.
        attributes: Of the user's own.
    """
    trace, action = above.trace.child(), ids.as_text(action)
    name = action if step_id is None else ids.as_text(step_id)
    if compensates_step_id is not None:
        compensates_step_id = ids.as_text(compensates_step_id)
    undone = name if compensates_step_id is None else compensates_step_id
    outcome = above.outcome
    if undone_by_saga is None:
        steps = outcome.compensating(undone)
    else:
        steps = outcome.undoing(undone_by_saga)
    place = above.place_of_part()
    payload = {**above.names(name, action), "compensates_step_id": compensates_step_id}
    write = above.writer.write
    begun = {**payload, "phase": "started", "attributes": attributes}
    inside = place.within(write(EventType.SAGA_COMPENSATING, place, trace, begun))
    compensation = Compensation(name, action, compensates_step_id, trace)

    def close(error: BaseException | None) -> None:
        by_hand = undone_by_saga is None
        outcome.compensated(undone, steps, succeeded=error is None, by_hand=by_hand)
        phase = "succeeded" if error is None else "failed"
        ended = {**payload, "phase": phase, **describe(error)}
        ended["attributes"] = attributes_set(compensation)
        write(EventType.SAGA_COMPENSATING, inside, trace, ended)

    return Opened(compensation, above.writer.enter(inside, trace), above.writer, close)
