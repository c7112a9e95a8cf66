"""Programs under ``hvobs run``, which use a framework that a source observes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import HVOBS
from tests.configurations import write_config
from tests.frameworks import install_acme
from tests.programs import run

BOTH = '[plugins.acme]\n[plugins.journal]\ndirectory = "journal"\n'
USE = """
from acme_agents import Agent

print(Agent("a", lambda **given: sorted(given)).run(city="Oslo"))
"""
SEEN = "hvobs run: 3 events of 1 agent seen; journal keeps them, 'hvobs tree' shows them"


def work_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in *folder*, with a configuration; the framework is found by PYTHONPATH."""
    (folder / "site").mkdir()
    install_acme(folder / "site")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    for name in ("CONFIG", "DISABLED", "RUN"):
        monkeypatch.delenv(f"HYPERVISOR_OBSERVABILITY_{name}", raising=False)
    monkeypatch.chdir(folder)
    write_config(BOTH)
    return folder


def hvobs_run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    return run([*HVOBS, "run", *arguments], **options)


def python(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    return run([sys.executable, *arguments], **options)


def events() -> list[dict[str, Any]]:
    """Give the events of all processes that were kept."""
    result = run([*HVOBS, "query", "--json"], check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def uses() -> int:
    return sum(event["event_type"] == "acme.agent_used" for event in events())


def program(text: str, name: str = "app.py") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def told(output: str) -> list[str]:
    """Give what the command said, among the lines of the program."""
    return [line for line in output.splitlines() if line.startswith("hvobs run: ")]
