"""What the figures depend on: the machine, the interpreter, the libraries."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.goals import Environment
from benchmarks.rounds import python_of

_VERSIONS = {
    Environment.PEER: ("agent-hypervisor",),
    Environment.NEIGHBOURS: (
        "blinker",
        "eliot",
        "opentelemetry-sdk",
        "prometheus-client",
        "statsd",
        "structlog",
    ),
    Environment.FRAMEWORKS: (
        "langchain-core",
        "langgraph",
        "openai-agents",
        "openinference-instrumentation-langchain",
        "openinference-instrumentation-openai-agents",
    ),
}


def machine_facts() -> dict[str, str]:
    """Give the facts of the machine and of the interpreter by name."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def facts() -> dict[str, str]:
    """Give the facts by name, those of the libraries too."""
    return {
        **machine_facts(),
        **{
            name: version
            for environment, names in _VERSIONS.items()
            for name, version in _installed(environment, names).items()
        },
    }


def in_words(known: dict[str, str]) -> str:
    """Write *known* as a paragraph; what is not of the machine is a program with its version."""
    date, processor, system, python, *programs = known
    return (
        f"Measured on {known[date]}: {known[python]}, {known[system]}, {known[processor]};"
        f" {', '.join(f'{name} {known[name]}' for name in programs)}."
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.machine()


def _installed(environment: Environment, names: tuple[str, ...]) -> dict[str, str]:
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [python_of(environment), "-c", code, *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(names, done.stdout.split(), strict=True))
