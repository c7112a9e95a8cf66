"""The newest runs, each with what happened in its trace."""

from attrs import define, field

from ..events.event import HypervisorEvent
from ..facts import payload_facts
from ..facts.usage import Usage
from .calls import trace_of

MOST_RUNS = 12
"""How many runs are told one by one: the newest."""


@define(eq=False)
class RunStory:
    """A run.

    Attributes:
        name: Its name.
        causal: Its causal id.
        begun_ns: When it began.
        ended_ns: When it ended; None: it has not.
        outcome: How it ended, in the words of ``payload_facts.work_end``; ``running`` until then.
        tools: How many calls of tools ended in its trace.
        unwell: How many of those failed or were refused.
        models: How many calls of models ended there.
        handoffs: How often work was handed over there.
        usage: What models were used for there.
    """

    name: str
    causal: str
    begun_ns: int
    ended_ns: int | None = None
    outcome: str = "running"
    tools: int = 0
    unwell: int = 0
    models: int = 0
    handoffs: int = 0
    usage: Usage = field(factory=Usage)


@define(eq=False)
class NewestRuns:
    """The newest runs, by their traces: a run within a run is a part of that.

    Attributes:
        by_trace: The runs, in the order in which they began.
    """

    by_trace: dict[str, RunStory] = field(factory=dict)

    def begin(self, event: HypervisorEvent, name: str) -> None:
        """Take the beginning of a run."""
        causal, trace = event.causal_trace_id, trace_of(event)
        if causal is None or trace is None or trace in self.by_trace:
            return
        self.by_trace[trace] = RunStory(name, causal, event.timestamp_ns)
        if len(self.by_trace) > MOST_RUNS:
            del self.by_trace[next(iter(self.by_trace))]

    def end(self, event: HypervisorEvent) -> None:
        """Take the end of a run."""
        run = self.around(event)
        if run is not None and run.causal == event.causal_trace_id:
            run.ended_ns = max(run.begun_ns, event.timestamp_ns)
            run.outcome = payload_facts.work_end(event)

    def around(self, event: HypervisorEvent) -> RunStory | None:
        """Give the run in whose trace *event* happened, if it is told of."""
        trace = trace_of(event)
        return None if trace is None else self.by_trace.get(trace)
