"""Where the parts of a saga stand: below the saga itself, or below a fan-out of it."""

from itertools import count

from attrs import field, frozen

from ..causality.causal_trace import CausalTraceId
from ..causality.standing import standing
from ..events import ids
from .event_writer import EventWriter
from .place import Place, current_place
from .saga_outcome import SagaOutcome


@frozen(eq=False)
class SagaPlace:
    """What the parts of a saga take over from what they belong to.

    Attributes:
        writer: Writes their events.
        saga_id: Of the saga.
        trace: The causal id above theirs.
        place: Session and agent, for parts that know none, and the event that opened what
            they belong to.
        outcome: What becomes of the saga's steps.
    """

    writer: EventWriter
    saga_id: str
    trace: CausalTraceId
    place: Place
    outcome: SagaOutcome = field(factory=SagaOutcome)
    # By the action and the attempt. Each look-up and each count is one step of the interpreter.
    _uses: dict[tuple[str, str], "count[int]"] = field(factory=dict)

    def below(self, trace: CausalTraceId, place: Place) -> "SagaPlace":
        """Give the place below a part of the same saga."""
        return SagaPlace(self.writer, self.saga_id, trace, place, self.outcome, self._uses)

    def place_of_part(self) -> Place:
        """Give the place of a part that begins here: in a thread, it may know nothing."""
        own = self.place
        here: object = standing().place  # as current_place(), in a call less: steps are many
        # Within the scope itself, which is where most parts begin, they are one.
        if here is own:
            return own
        return current_place().or_else(own)._replace(opened_by=own.opened_by, saga=own.saga)

    def names(self, step_id: str, action: str) -> dict[str, object]:
        """Give the start of a part's payload."""
        return {"saga_id": self.saga_id, "step_id": step_id, "step_action": action}

    def free_step_id(self, action: str, attempt: int) -> str:
        """Name a step by its action, numbered from its second use on."""
        uses = next(self._uses.setdefault((action, ids.as_text(attempt)), count(1)))
        return action if uses == 1 else f"{action}-{uses}"
