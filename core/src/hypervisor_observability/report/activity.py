"""What a report tells of runs, of calls of tools and models, and of who hands over to whom."""

from collections.abc import Callable, Iterable, Iterator

from attrs import define, field

from ..events.event import HypervisorEvent
from ..events.event_types import (
    AGENT_FINISHED,
    AGENT_HANDOFF,
    GOVERNANCE_DECISION,
    MODEL_FINISHED,
    MODEL_STARTED,
    RUN_FINISHED,
    RUN_STARTED,
    TOOL_FINISHED,
    TOOL_STARTED,
    USAGE_RECORDED,
    EventType,
)
from ..facts import payload_facts
from ..facts.leaves import BEGINNINGS, Leaves
from ..facts.prices import Prices
from ..facts.usage import used
from .agents import Agents
from .calls import Stories
from .errors import ERROR_TYPES, Errors
from .handoffs import Handoffs
from .refusals import Refusals
from .runs import NewestRuns

Taker = Callable[[HypervisorEvent], None]


@define(eq=False)
class Activity:
    """What agents did, beside rings and sagas. Words and rules are those of metrics and trees.

    Attributes:
        runs: Runs by name.
        newest: The newest runs one by one.
        tools: Calls of tools by name.
        models: Calls of models by name, with what they were used for.
        handoffs: Who handed over to whom.
        refusals: Which tools were refused.
        agents: What each agent did.
        errors: What went wrong, by what it says.
        prices: To estimate costs of which nobody told; None: they are not estimated.
    """

    runs: Stories = field(factory=lambda: Stories("name"))
    newest: NewestRuns = field(factory=NewestRuns)
    tools: Stories = field(factory=lambda: Stories("tool_name"))
    models: Stories = field(factory=lambda: Stories("model"))
    handoffs: Handoffs = field(factory=Handoffs)
    refusals: Refusals = field(factory=Refusals)
    agents: Agents = field(factory=Agents)
    errors: Errors = field(factory=Errors)
    prices: Prices | None = None
    _leaves: Leaves = field(factory=Leaves, init=False)

    @property
    def takers(self) -> Iterator[tuple[Iterable[str], Taker]]:
        """What takes which events, in order."""
        yield BEGINNINGS, self._leaves.note
        yield [RUN_STARTED], self._run_started
        yield [RUN_FINISHED], self._run_finished
        yield [TOOL_STARTED], self.tools.begin
        yield [TOOL_FINISHED], self._tool_finished
        yield [MODEL_STARTED], self.models.begin
        yield [MODEL_FINISHED], self._model_finished
        yield [USAGE_RECORDED], self._used
        yield [EventType.SESSION_JOINED], self.handoffs.names.meet
        yield [EventType.SESSION_JOINED], lambda event: self.agents.of(event).join(event)
        yield [AGENT_FINISHED], lambda event: self.agents.of(event).end(event)
        yield [EventType.RING_BREACH_DETECTED], lambda event: self.agents.of(event).breach(event)
        yield ERROR_TYPES, self.errors.take
        yield [AGENT_HANDOFF], self._handed_over
        yield [GOVERNANCE_DECISION], self._decided

    def _run_started(self, event: HypervisorEvent) -> None:
        self.runs.begin(event)
        self.newest.begin(event, self.runs.named(event))

    def _run_finished(self, event: HypervisorEvent) -> None:
        self.runs.end(event)
        self.newest.end(event)

    def _tool_finished(self, event: HypervisorEvent) -> None:
        _, how = self.tools.end(event)
        if how == "blocked":
            self.refusals.block(event, self.tools.named(event))
        if (run := self.newest.around(event)) is not None:
            run.tools += 1
            run.unwell += how in {"blocked", "error"}

    def _model_finished(self, event: HypervisorEvent) -> None:
        story, _ = self.models.end(event)
        if (seconds := payload_facts.amount(event, "first_token_seconds")) is not None:
            story.first_token_seconds.add(seconds)
        if (run := self.newest.around(event)) is not None:
            run.models += 1

    def _used(self, event: HypervisorEvent) -> None:
        found = used(event, self.prices)
        if self._leaves.is_total(event, found.amounts):
            return
        self.models.of(self.models.named(event)).usage.take(found)
        self.agents.of(event).usage.take(found)
        if (run := self.newest.around(event)) is not None:
            run.usage.take(found)

    def _handed_over(self, event: HypervisorEvent) -> None:
        self.handoffs.add(event)
        if (run := self.newest.around(event)) is not None:
            run.handoffs += 1

    def _decided(self, event: HypervisorEvent) -> None:
        if payload_facts.decision(event) == "deny":
            self.refusals.deny(event, self.tools.named(event))
            self.agents.of(event).deny(event)
