"""What each source must hold, as tests for pytest.

Subclass ``SourceContract`` in a test, and say how your framework runs agents::

    class TestAcmeSource(SourceContract):
        lacks = {"handoff": "acme has no handoffs"}

        def make_source(self) -> object:
            return AcmeSource()

        def run(self, agent: AgentScript, request: str) -> object:
            return made(agent).run(request)

        async def run_async(self, agent: AgentScript, request: str) -> object:
            return await made(agent).arun(request)

        async def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
            async for part in made(agent).stream(request):
                yield part

``made`` makes the framework's agent of a script, with a model that answers as the script says.
pytest then finds every test of it. A test that fails says what an author did wrong.
"""

from .source_content_contract import ContentContract
from .source_ending_contract import EndingContract
from .source_harmless_contract import HarmlessContract
from .source_parallel_contract import ParallelContract
from .source_run_contract import RunContract
from .source_standing_contract import StandingContract
from .source_stream_contract import StreamContract


class SourceContract(
    RunContract,
    EndingContract,
    StreamContract,
    ParallelContract,
    StandingContract,
    HarmlessContract,
    ContentContract,
):
    """All the tests."""
