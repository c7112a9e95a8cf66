"""The source passes the contract, whatever spans a model makes."""

from abc import abstractmethod
from collections.abc import AsyncIterator

from agents import Model, Runner, ToolGuardrailFunctionOutput, ToolInputGuardrail

from hypervisor_observability.testing import AgentScript, SourceContract
from hypervisor_openai_agents import OpenAIAgentsSource
from tests.sources.openai_agents.fake_agents import event_loop, made
from tests.sources.openai_agents.fake_models import Spanless, chat_completions, responses
from tests.sources.streams import ABANDONED


def refuse(_: object) -> ToolGuardrailFunctionOutput:
    """Have no tool called."""
    return ToolGuardrailFunctionOutput.reject_content("not this tool")


class OpenAIAgentsContract(SourceContract):
    """How the framework runs agents."""

    abandoned_streams = ABANDONED

    @abstractmethod
    def model(self, script: AgentScript) -> Model:
        """Make the model of an agent."""

    def make_source(self) -> object:
        return OpenAIAgentsSource()

    def run(self, agent: AgentScript, request: str) -> object:
        with event_loop():
            return Runner.run_sync(made(agent, self.model), request).final_output

    async def run_async(self, agent: AgentScript, request: str) -> object:
        return (await Runner.run(made(agent, self.model), request)).final_output

    async def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        streamed = Runner.run_streamed(made(agent, self.model), request)
        async for event in streamed.stream_events():
            yield event

    def run_refused(self, agent: AgentScript, request: str) -> object:
        real = made(agent, self.model)
        for tool in real.tools:
            tool.tool_input_guardrails = [ToolInputGuardrail(guardrail_function=refuse)]
        with event_loop():
            return Runner.run_sync(real, request).final_output


class TestSpanlessModel(OpenAIAgentsContract):
    def model(self, script: AgentScript) -> Model:
        return Spanless(script)


class TestChatCompletions(OpenAIAgentsContract):
    def model(self, script: AgentScript) -> Model:
        return chat_completions(script)


class TestResponses(OpenAIAgentsContract):
    def model(self, script: AgentScript) -> Model:
        return responses(script)
