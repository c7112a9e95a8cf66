"""Calls of tools and of models: how many ended, how, and how long they took."""

from collections.abc import Callable

from ..events.event import HypervisorEvent
from ..events.event_types import MODEL_FINISHED, MODEL_STARTED, TOOL_FINISHED, TOOL_STARTED
from ..facts import payload_facts
from .histogram import Histogram
from .instruments import Counter
from .labels import UNKNOWN, word
from .meter import Instruments
from .uncounted import Uncounted

TOOL_CALLS = "agent_hypervisor_tool_calls_total"
TOOL_SECONDS = "agent_hypervisor_tool_duration_seconds"
MODEL_CALLS = "agent_hypervisor_model_calls_total"
MODEL_SECONDS = "agent_hypervisor_model_duration_seconds"
FIRST_TOKEN = "agent_hypervisor_model_first_token_seconds"

# Of the GenAI conventions' metrics gen_ai.client.operation.duration and time_to_first_token.
OPERATION_BOUNDS_SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
FIRST_TOKEN_BOUNDS_SECONDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
)  # fmt: skip


class CallCounts:
    """What is counted of the calls of one kind.

    Args:
        started: The type of event with which a call begins.
        finished: That with which it ends.
        name: Gives what is called.
        counter: Of what is called, and of how the calls ended.
        amounts: What is measured at the end, by the key that tells it.
        uncounted: Where amounts that are none are counted.
    """

    def __init__(
        self,
        started: str,
        finished: str,
        name: Callable[[HypervisorEvent], str],
        counter: Counter,
        amounts: dict[str, Histogram],
        uncounted: Uncounted,
    ) -> None:
        self.event_types = (started, finished)
        self._started, self._name, self._uncounted = started, name, uncounted
        self._counter, self._amounts = counter, amounts
        self.instruments = Instruments(counter, *amounts.values())

    def observe(self, event: HypervisorEvent) -> None:
        """Count the end of a call; expect one at its beginning."""
        name = self._name(event)
        if event.event_type == self._started:
            # A first failure is an increase only if the series was there before, at zero.
            self._counter.show((name, "error"))
            return
        self._counter.increase((name, payload_facts.work_end(event)), event=event)
        for key, histogram in self._amounts.items():
            amount = self._uncounted.amount(event, key, histogram.name)
            if amount is not None:
                histogram.observe((name,), float(amount), event)


def call_counts(uncounted: Uncounted) -> tuple[CallCounts, CallCounts]:
    """Make what counts the calls of tools, and that of models."""
    tools = CallCounts(
        TOOL_STARTED,
        TOOL_FINISHED,
        lambda event: payload_facts.name(event, "tool_name") or UNKNOWN,
        Counter(
            TOOL_CALLS,
            "Calls of tools that ended, by how they ended",
            {"tool_name": (), "status": payload_facts.CALL_ENDS},
        ),
        {
            "duration_seconds": Histogram(
                TOOL_SECONDS,
                "Time that calls of tools took",
                {"tool_name": ()},
                bounds=OPERATION_BOUNDS_SECONDS,
                unit="seconds",
            )
        },
        uncounted,
    )
    models = CallCounts(
        MODEL_STARTED,
        MODEL_FINISHED,
        lambda event: word(event, "model"),
        Counter(
            MODEL_CALLS,
            "Calls of models that ended, by how they ended",
            {"model": (), "status": payload_facts.CALL_ENDS},
        ),
        {
            "duration_seconds": Histogram(
                MODEL_SECONDS,
                "Time that calls of models took",
                {"model": ()},
                bounds=OPERATION_BOUNDS_SECONDS,
                unit="seconds",
            ),
            "first_token_seconds": Histogram(
                FIRST_TOKEN,
                "Time from the beginning of a call to the model's first token",
                {"model": ()},
                bounds=FIRST_TOKEN_BOUNDS_SECONDS,
                unit="seconds",
            ),
        },
        uncounted,
    )
    return tools, models
