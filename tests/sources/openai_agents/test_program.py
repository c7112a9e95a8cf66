"""An unchanged program under ``hvobs run``, whose models are those of the vendor's API."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hypervisor_observability.testing import AgentScript, CallTools, HandOff, ToolCall, Usage
from tests.http_servers import Handler, serving
from tests.sources.openai_agents.fake_models import completion_of, response_of
from tests.sources.openai_agents.observing import says
from tests.sources.seen import Seen, see

PROGRAM = """
import asyncio
import sys

from agents import Agent, Runner, function_tool, set_default_openai_api, set_trace_processors

if sys.argv[2] == "chat":
    set_default_openai_api("chat_completions")
set_trace_processors([])


@function_tool
def look_up(city: str) -> str:
    "Look up the weather of a city."
    return f"{city} is sunny"


writer = Agent(name="writer", model="fake-1")
boss = Agent(name="boss", model="fake-1", tools=[look_up], handoffs=[writer])


async def stream():
    result = Runner.run_streamed(boss, "?")
    async for _ in result.stream_events():
        pass
    return result


result = asyncio.run(stream()) if sys.argv[1] == "stream" else Runner.run_sync(boss, "?")
print(result.final_output.strip())
"""

CALLS = (ToolCall("look_up", {"city": "Oslo"}, "call-1"),)
WRITER = says("done", "writer", (100, 10))
BOSS = AgentScript(
    "boss", (CallTools(CALLS, Usage(20, 5)), HandOff("writer", Usage(30, 7))), hands_to=(WRITER,)
)


@contextmanager
def vendor() -> Iterator[str]:
    """Serve the vendor's API on loopback: the boss's two turns, then the writer's; give its URL."""
    turns = iter([*((turn, BOSS) for turn in BOSS.turns), (WRITER.turns[0], WRITER)])

    class Api(Handler):
        def do_POST(self) -> None:
            asked = json.loads(self.body())
            turn, script = next(turns)
            assert isinstance(turn, CallTools | HandOff) or script is WRITER
            body: dict[str, Any]
            if self.path.endswith("/responses"):
                body = response_of(turn, script)  # type: ignore[arg-type]  # none of them fails
                parts = [{"type": "response.completed", "sequence_number": 0, "response": body}]
            else:
                body, parts = completion_of(turn, script)  # type: ignore[arg-type]  # likewise
            if not asked.get("stream"):
                self.answer(body=json.dumps(body).encode(), Content_Type="application/json")
                return
            events = [f"data: {json.dumps(part)}\n\n" for part in parts] + ["data: [DONE]\n\n"]
            self.answer(body="".join(events).encode(), Content_Type="text/event-stream")

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Api)) as port:
        yield f"http://127.0.0.1:{port}/v1"


def run_program(folder: Path, how: str, api: str) -> Seen:
    """Run the program against that API."""
    (folder / "app.py").write_text(PROGRAM)
    with vendor() as url:
        return see(
            folder,
            ("app.py", how, api),
            config="[plugins.openai-agents]\n",
            environ={"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url},
        )


@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_program_is_seen_in_the_tree_in_metrics_and_in_spans(
    tmp_path: Path, how: str, api: str
) -> None:
    seen = run_program(tmp_path, how, api)

    assert (seen.exit_code, seen.stdout) == (0, "done\n"), seen.stderr
    assert [line.lstrip("├─│└ ").partition("  ")[0] for line in seen.tree.splitlines()[1:]] == [
        "run Agent workflow (172 tokens)",
        "agent boss (62 tokens)",
        "model fake-1 (25 tokens)",
        "tool look_up",
        "model fake-1 (37 tokens)",
        "handoff boss to writer",
        "agent writer (110 tokens)",
        "model fake-1 (110 tokens)",
    ]
    total = "agent_hypervisor_tokens_total"
    assert seen.metric(total, model="fake-1", direction="input") == 150
    assert seen.metric(total, agent_did="boss", direction="output") == 12
    assert seen.metric("agent_hypervisor_tool_calls_total", tool_name="look_up", status="ok") == 1
    assert seen.metric("agent_hypervisor_model_calls_total", model="fake-1", status="ok") == 3
    assert seen.metric("agent_hypervisor_observability_source_errors_total") == 0

    run = seen.span("invoke_workflow Agent workflow")
    boss, writer = seen.span("invoke_agent boss"), seen.span("invoke_agent writer")
    assert seen.parent_of(boss) == run == seen.parent_of(writer)
    assert seen.parent_of(seen.span("execute_tool look_up")) == boss
    assert [link.span_id for link in writer.links] == [boss.span_id]
    assert len([span for span in seen.spans if span.name == "chat fake-1"]) == 3
    assert len({span.trace_id for span in seen.spans}) == 1
