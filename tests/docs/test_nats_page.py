"""What the page of NATS gives each role is enough for it, and no more."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import fields

from hypervisor_nats import NatsConfig
from hypervisor_nats.commands.init import init_command
from tests.commands import HVOBS, run_hvobs
from tests.configurations import write_config
from tests.markdown import blocks_of
from tests.plugins.nats.servers import NatsServer, one_server
from tests.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "nats.md"
ROLES = ("shop", "person", "agent", "operator")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    (block,) = (block for block in blocks_of(PAGE) if block.words == ("roles.conf",))
    lines = re.sub(r"\$[A-Z]+_PASSWORD", '"hush"', block.text)
    with one_server(tmp_path_factory.mktemp("roles") / "server", lines) as server:
        yield server


def config_of_role(server: NatsServer, folder: Path, role: str, more: str = "") -> Path:
    text = (
        f'service = "shop"\n[plugins.nats]\nservers = ["{server.address}"]\nuser = "{role}"\n'
        f'password = "hush"\n{more}'
    )
    return write_config(text, folder / f"{role}.toml")


def test_each_role_may_do_its_work_and_no_more(server: NatsServer, tmp_path: Path) -> None:
    files = {role: config_of_role(server, tmp_path, role) for role in ROLES}
    journal = f'[plugins.nats.journal]\ndirectory = "{tmp_path / "journal"}"\n'
    files["shop"] = config_of_role(server, tmp_path, "shop", journal)
    metrics = f'[plugins.prometheus]\nport = 0\n[state]\ndirectory = "{tmp_path / "state"}"\n'
    files["agent"] = config_of_role(server, tmp_path, "agent", metrics)

    refused = run_hvobs("nats", "init", "--config", files["agent"])
    assert refused.exit_code == 1
    assert "it is not allowed to publish to $JS.API.STREAM.CREATE.hv" in refused.stderr
    assert run_hvobs("nats", "init", "--config", files["operator"]).exit_code == 0

    done = subprocess.run(
        [*HVOBS, "demo", "--config", files["shop"]],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shipped = run_hvobs("ship", "--once", "--config", files["shop"])
    assert shipped.exit_code == 0, done.stderr + shipped.output

    with subprocess.Popen(
        [*HVOBS, "agent", "--config", files["agent"]], stderr=subprocess.DEVNULL
    ) as agent:
        try:
            wait_until(lambda: "wrong" not in status(files["person"], "--max-lag", "0"), 90)
        finally:
            agent.terminate()

    for command in (("query",), ("traces",), ("nats", "verify"), ("check",)):
        asked = run_hvobs(*command, "--config", files["person"])
        assert asked.exit_code in {0, 3}, asked.output

    log = (server.folder / "server.log").read_text()
    violations = [line for line in log.splitlines() if "Violation" in line]
    assert all("$JS.API.STREAM.CREATE.hv" in line for line in violations), violations
    assert violations


def status(file: Path, *arguments: str) -> str:
    asked = run_hvobs("nats", "status", "--plugin", "metrics", "--config", file, *arguments)
    return asked.stderr


def test_page_lists_every_key_of_the_table() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {key for row in rows for key in re.findall(r"`(\w+)`", row)}

    assert {field.name for field in fields(NatsConfig)} <= told


def test_page_lists_every_option_of_init() -> None:
    text = PAGE.read_text("utf-8")
    for parameter in init_command.params:
        for option in parameter.opts:
            assert f"`{option}" in text, option
