"""Google's ADK is seen as its users run it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import AgentScript, SourceContract
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_observability.testing.source_samples import hand_off, two_tools
from tests.sources.google_adk.scripted import answer, answer_in_thread, streamed
from tests.sources.pages import PAGES, run_page
from tests.sources.streams import ABANDONED

# Of AgentTool, which is the framework's own.
pytestmark = pytest.mark.filterwarnings("ignore:The `plugins` argument:DeprecationWarning")


class TestGoogleADK(SourceContract):
    lacks: Mapping[str, str] = {
        "refusal": "a callback that answers in place of a tool looks like the tool in its span"
    }
    abandoned_streams = ABANDONED

    @pytest.fixture(autouse=True)
    def content(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the framework put into spans what goes into payloads: it does not by itself."""
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")

    def make_source(self) -> object:
        return GenAISource()

    def run(self, agent: AgentScript, request: str) -> object:
        return answer_in_thread(agent, request)

    async def run_async(self, agent: AgentScript, request: str) -> Any:
        return await answer(agent, request)

    def stream(self, agent: AgentScript, request: str) -> AsyncIterator[object]:
        return streamed(agent, request)


def test_page_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "google-adk.md", tmp_path)


def test_results_that_are_put_together_are_no_tool() -> None:
    with Observability(plugins=[GenAISource()]) as observability:
        asyncio.run(answer(two_tools(), "weather?"))
        seen = Seen.of(observability.bus.all_events)

    assert [tool.name for tool in seen.all("tool")] == ["look_up", "look_up"]


@pytest.mark.parametrize("schema", ["1", "2"])
def test_both_formats_of_spans_are_seen(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADK_TELEMETRY_SCHEMA_VERSION_OPT_IN", schema)
    with Observability(plugins=[GenAISource()]) as observability:
        asyncio.run(answer(hand_off(), "weather?"))
        seen = Seen.of(observability.bus.all_events)

    assert [agent.name for agent in seen.all("agent")] == ["triage", "researcher"]
    assert len(seen.all("model")) == 3
    assert len(seen.points("agent.handoff")) == 1
    assert len(seen.points("usage.recorded")) == 3
