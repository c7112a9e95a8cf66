"""MCP over stdio: a client, and the server that it starts."""

import re
import sys
from pathlib import Path

import pytest

from tests.commands import HVOBS
from tests.configurations import write_config
from tests.programs import run

SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def look_up(city: str) -> str:
    raise LookupError("no such city")


server.run()
"""
CLIENT = """
import asyncio
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    command, *arguments = sys.argv[1:]
    server = StdioServerParameters(command=command, args=arguments)
    async with Client(stdio_client(server)) as client:
        print((await client.call_tool("look_up", {"city": "nowhere"})).is_error)


asyncio.run(main())
"""


def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *server: str) -> list[tuple[str, str]]:
    """Run the client with a command for its server; give each call as the tree draws it."""
    monkeypatch.chdir(tmp_path)
    write_config('[plugins.genai]\n[plugins.journal]\ndirectory = "journal"\n')
    Path("server.py").write_text(SERVER)
    Path("client.py").write_text(CLIENT)
    client = run([*HVOBS, "run", "client.py", *server])
    assert client.stdout == "True\n", client.stderr
    tree = run([*HVOBS, "tree"], check=True).stdout
    return re.findall(r"^(.*)tool look_up .* (\w+)$", tree, re.MULTILINE)


def test_client_alone_does_not_tell_that_a_tool_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calls(tmp_path, monkeypatch, sys.executable, "server.py") == [("", "ok")]


def test_server_that_is_run_by_us_is_seen_below_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = calls(tmp_path, monkeypatch, *HVOBS, "run", "server.py")

    assert seen == [("", "ok"), ("└─ ", "FAILED")]
