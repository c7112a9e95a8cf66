"""An agent that calls its model twice and a tool once, seen by nobody, by us or by openinference.

Spans of openinference go to an exporter that drops them, our events to the bus.
"""

import asyncio
import gc
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from functools import cache

from benchmarks.cases import Measure, Measures

_WARM_UP = 10

Run = Callable[[], object]
Finish = Callable[[], object]


def prepare(*, framework: str, by: str, runs: int) -> Measure:
    """Measure seconds a run of an agent, with what its observer does in threads of its own.

    :param framework: ``langgraph`` or ``openai-agents``.
    :param by: Who observes it: ``nobody``, ``us`` or ``openinference``.
    :param runs: How often it runs in a round.
    """
    logging.disable()
    finish = {"nobody": _nobody, "us": _us, "openinference": _openinference}[by](framework)
    make = {"langgraph": _langgraph, "openai-agents": _openai_agents}[framework]
    ready = make()

    def made() -> object:
        return make()()

    for _ in range(_WARM_UP):
        ready()
        made()

    def seconds(run: Callable[[], object]) -> float:
        gc.collect()
        start = time.process_time()
        for _ in range(runs):
            run()
        finish()
        return (time.process_time() - start) / runs

    def measure() -> Measures:
        return {
            "run": seconds(ready),
            "made": seconds(made),
            "check": str(ready()),
        }

    return measure


def _nobody(framework: str) -> Finish:
    if framework == "openai-agents":
        from agents import set_trace_processors

        set_trace_processors([])
    return lambda: None


def _us(framework: str) -> Finish:
    from hypervisor_observability import Config, Observability

    _nobody(framework)
    source = {"langgraph": "langchain"}.get(framework, framework)
    observability = Observability(Config(plugins={source: {}})).start()

    def finish() -> None:
        observability.flush(30)
        if not observability.bus.emitted:
            raise RuntimeError("nothing was seen")

    return finish


def _openinference(framework: str) -> Finish:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):
        spans = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.spans += len(spans)
            return SpanExportResult.SUCCESS

    _nobody(framework)
    exporter = Dropping()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    if framework == "langgraph":
        from openinference.instrumentation.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument(tracer_provider=provider)
    else:
        from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

        OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)

    def finish() -> None:
        provider.force_flush()
        if not exporter.spans:
            raise RuntimeError("nothing was seen")

    return finish


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


def _langgraph() -> Run:
    from langchain.agents import create_agent
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage, ToolCall

    class FakeModel(GenericFakeChatModel):
        model_name: str = "fake-1"

        def bind_tools(self, *_: object, **__: object) -> "FakeModel":
            return self

    used = {"input_tokens": 61, "output_tokens": 9, "total_tokens": 70}
    call = ToolCall(name="get_weather", args={"city": "Oslo"}, id="call-1")

    def answers() -> object:
        for _ in itertools.count():
            yield AIMessage("", tool_calls=[call], usage_metadata=used)
            yield AIMessage("It is sunny.", usage_metadata=used)

    agent = create_agent(FakeModel(messages=answers()), [get_weather], name="weather")
    request = {"messages": [{"role": "user", "content": "How is the weather in Oslo?"}]}
    return lambda: agent.invoke(request)["messages"][-1].content


def _openai_agents() -> Run:
    from agents import Agent, Runner, Usage, function_tool
    from agents.testing import ScriptedModel, assistant_message, function_call

    used = Usage(requests=1, input_tokens=61, output_tokens=9, total_tokens=70)
    call = function_call("get_weather", {"city": "Oslo"}, call_id="call-1")
    steps = [[call], [assistant_message("It is sunny.")]]
    agent = Agent(name="weather", tools=[function_tool(get_weather)])

    def run() -> object:
        agent.model = ScriptedModel(steps, default_usage=used)
        answer = _loop().run_until_complete(Runner.run(agent, "How is the weather in Oslo?"))
        return answer.final_output

    return run
