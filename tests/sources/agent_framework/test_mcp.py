"""MCP is seen: a client and a server in one process, and each alone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.server.mcpserver import MCPServer
from opentelemetry.sdk.trace import TracerProvider

from hypervisor_genai import GenAISource
from hypervisor_observability import Observability
from hypervisor_observability.testing import check_payloads
from hypervisor_observability.testing.source_pieces import Seen
from hypervisor_observability.testing.source_tests import check_seen
from tests.sources.pages import PAGES, run_page

Do = Callable[[Any], Awaitable[object]]


def server_of(observability: Observability) -> MCPServer:
    server = MCPServer("weather")

    @server.tool()
    def look_up(city: str) -> str:
        """Look up the weather of a city."""
        observability.recorder.vfs.write(f"/{city}")
        if city == "nowhere":
            raise LookupError("no such city")
        return f"{city} is sunny"

    @server.resource("weather://oslo")
    def oslo() -> str:
        """Tell the weather of Oslo."""
        return "sunny"

    return server


def watch(do: Do, **config: Any) -> Seen:
    with Observability(plugins=[GenAISource()], **config) as observability:

        async def main() -> None:
            async with Client(server_of(observability)) as client:
                await do(client)

        asyncio.run(main())
        seen = Seen.of(observability.bus.all_events)
    check_payloads(seen.events)
    return seen


def test_call_of_a_tool_counts_once_though_client_and_server_tell_of_it() -> None:
    seen = watch(lambda client: client.call_tool("look_up", {"city": "oslo"}))
    check_seen(seen)

    (tool,) = seen.pieces
    assert (tool.kind, tool.name, tool.status) == ("tool", "look_up", "ok")


def test_what_the_tool_of_the_server_records_stands_below_the_call() -> None:
    async def both(client: Any) -> None:
        await asyncio.gather(
            *(client.call_tool("look_up", {"city": city}) for city in ("oslo", "bergen"))
        )

    seen = watch(both)

    assert [len(tool.points) for tool in seen.all("tool", "look_up")] == [1, 1]
    assert len(seen.points("vfs.write")) == 2


def test_tool_that_fails_is_an_error() -> None:
    seen = watch(lambda client: client.call_tool("look_up", {"city": "nowhere"}))

    (tool,) = seen.all("tool")
    assert tool.status == "error"


def test_what_is_no_call_of_a_tool_is_no_event() -> None:
    async def ask(client: Any) -> None:
        await client.list_tools()
        await client.read_resource("weather://oslo")

    with Observability(plugins=[GenAISource()]) as observability:

        async def main() -> None:
            async with Client(server_of(observability)) as client:
                await ask(client)

        asyncio.run(main())
        assert observability.bus.emitted == 0


def test_call_that_an_agents_tool_makes_is_that_tool() -> None:
    names = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up"}
    with Observability(plugins=[GenAISource()]) as observability:
        tracer = TracerProvider().get_tracer("some.agents")

        async def main() -> None:
            async with Client(server_of(observability)) as client:
                with tracer.start_as_current_span("execute_tool look_up", attributes=names):
                    await client.call_tool("look_up", {"city": "oslo"})

        asyncio.run(main())
        (tool,) = Seen.of(observability.bus.all_events).all("tool")

    assert len(tool.points) == 1


def test_page_is_as_it_says(tmp_path: Path) -> None:
    run_page(PAGES / "mcp.md", tmp_path)
