"""Steps and compensations of a saga, as their blocks see them."""

from attrs import define, frozen

from ..causal_trace import CausalTraceId


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
