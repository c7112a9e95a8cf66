"""The page on coding agents names the tools that there are, and configurations that are right."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import anyio

from hypervisor_observability.cli.plugin_commands import ConfigOfCommands
from hypervisor_web.mcp.answers import answer, chosen_trace, reading, traces
from hypervisor_web.mcp.questions import Questions
from hypervisor_web.mcp.server import make_server
from tests.commands import run_hvobs
from tests.docs.test_pages import DOCS
from tests.markdown import blocks_of

PAGE = DOCS / "how-to" / "ask-with-a-coding-agent.md"


def servers() -> Iterator[dict[str, Any]]:
    for block in blocks_of(PAGE):
        if block.language == "json":
            told = json.loads(block.text)
            yield from (told.get("mcpServers") or told["servers"]).values()
        elif block.language == "toml" and not block.is_run:
            yield from tomllib.loads(block.text)["mcp_servers"].values()


def test_each_configuration_starts_the_command_with_options_that_it_takes() -> None:
    found = list(servers())
    text = run_hvobs("mcp", "--help").stdout

    assert len(found) == 3
    for server in found:
        assert server["command"] == "hvobs"
        name, option, _ = server["args"]
        assert name == "mcp"
        assert option in text


def test_each_tool_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    server = make_server(Questions(ConfigOfCommands("web", None)))

    assert sorted(rows) == sorted(tool.name for tool in anyio.run(server.list_tools))


def test_limits_of_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")

    for sentence in (
        f"An answer has at most {answer.MOST_CHARACTERS:,} characters",
        f"A question reads at most {reading.MOST_EVENTS:,} events",
        f"at most {reading.MOST_SECONDS:.0f} seconds, after {reading.MOST_NAMES_SECONDS:.0f} for",
        f"look at the newest {traces.MOST_WINDOW:,}",
        f"of a trace the first {chosen_trace.MOST_EVENTS:,} events",
    ):
        assert sentence in text, sentence
