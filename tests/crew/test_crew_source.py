"""A right source passes the whole contract."""

from collections.abc import AsyncIterator

from hypervisor_observability.testing import AgentScript, SourceContract
from tests.crew.crew_scripts import made, stream
from tests.crew.crew_source import CrewSource


class TestCrewSource(SourceContract):
    def make_source(self) -> object:
        return CrewSource()

    def run(self, agent: AgentScript, request: str) -> object:
        return made(agent).run(request)

    async def run_async(self, agent: AgentScript, request: str) -> object:
        return await made(agent).arun(request)

    def run_refused(self, agent: AgentScript, request: str) -> object:
        one = made(agent)
        one.allows = lambda _: False
        return one.run(request)

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return stream(agent, request)
