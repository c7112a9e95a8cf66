"""A program whose backends are away: one line a backend, one at the end, never a traceback."""

import socket
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from attrs import frozen

from hypervisor_observability.config.lookup import FILE_VARIABLE
from hypervisor_observability.host.plugins import SHIPPED
from tests.commands import HVOBS
from tests.configurations import write_config
from tests.frameworks import install_acme
from tests.ports import free_port
from tests.programs import run

EVENTS = 7
PROGRAM = """
import asyncio, os, signal, sys, time
from hypervisor_observability import Observability

def work(observability):
    with observability.recorder.agent("did:mesh:a", ring=2):
        with observability.recorder.saga("order") as saga, saga.step("pay"):
            pass

async def main():
    async with Observability.from_config("hypervisor.toml") as observability:
        work(observability)

ending = sys.argv[1]
if ending == "asyncio":
    asyncio.run(main())
elif ending == "with":
    with Observability.from_config("hypervisor.toml") as observability:
        work(observability)
else:
    observability = Observability.from_config("hypervisor.toml").start()
    work(observability)
    if ending == "sys.exit":
        sys.exit(4)
    if ending == "exception":
        raise ValueError("of the program")
    if ending == "Ctrl-C":
        signal.raise_signal(signal.SIGINT)
"""


@frozen
class Away:
    """A backend that cannot be had.

    Attributes:
        table: The plugin's keys.
        missed: How many of the program's events do not arrive: those that end no span are of no
            use to a backend for spans.
        told: What the one line about it says before the end.
    """

    table: str
    missed: int
    told: str


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def away(taken_port: int, tmp_path: Path) -> Mapping[str, Away]:
    (tmp_path / "file").touch()
    tcp, udp = free_port(), free_port(socket.SOCK_DGRAM)
    refused = "Connection refused"
    return {
        "journal": Away('directory = "file"', EVENTS, "events are not journalled"),
        "prometheus": Away(f"port = {taken_port}", EVENTS, "is in use"),
        "otel": Away(f'endpoint = "http://127.0.0.1:{tcp}"', 3, refused),
        "statsd": Away(f"port = {udp}", EVENTS, refused),
        "jaeger": Away(f'endpoint = "http://127.0.0.1:{tcp}"', 3, refused),
        "web": Away(f"port = {taken_port}", EVENTS, "is in use"),
        "nats": Away(
            f'servers = ["nats://127.0.0.1:{tcp}"]\njournal.directory = "journal"',
            EVENTS,
            "nobody listens there",
        ),
    }


@pytest.fixture
def all_away(away: Mapping[str, Away]) -> Mapping[str, Away]:
    """All of them that may be on together: a process has one store."""
    return {name: one for name, one in away.items() if name != "nats"}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


def end(ending: str, tables: Mapping[str, Away]) -> tuple[int, list[str]]:
    """Run the program; give its exit code, and the lines that it wrote."""
    write_config("".join(f"[plugins.{name}]\n{one.table}\n" for name, one in tables.items()))
    result = run([sys.executable, "-c", PROGRAM, ending])
    assert result.stdout == ""
    return result.returncode, result.stderr.splitlines()


def shipped_backends() -> list[str]:
    """Give our plugins that something may be away for: all but sources."""
    classes = {point.name: point.load() for point in entry_points(group="hypervisor.observability")}
    return [name for name in SHIPPED if "instrument" not in vars(classes[name])]


BACKENDS = shipped_backends()


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_that_is_away_is_one_line_and_its_loss_another(
    name: str, away: Mapping[str, Away]
) -> None:
    code, lines = end("sys.exit", {name: away[name]})

    assert code == 4
    assert len(lines) == 2, lines
    assert name in lines[0]
    assert away[name].told in lines[0]
    assert lines[1].startswith(f"events not delivered: {name} {away[name].missed} of {EVENTS} (")


@pytest.mark.parametrize(
    ("ending", "code"),
    [("with", 0), ("asyncio", 0), ("exception", 1), ("Ctrl-C", -2), ("return", 0)],
)
def test_however_a_program_ends_one_line_has_all_that_was_not_delivered(
    ending: str, code: int, all_away: Mapping[str, Away]
) -> None:
    found, lines = end(ending, all_away)

    assert found == code, lines
    assert lines[-1].startswith("events not delivered: ")
    assert all(f"{name} {one.missed} of {EVENTS} (" in lines[-1] for name, one in all_away.items())
    own = lines[:-1]
    if code:  # the traceback of the program's own exception
        start = own.index("Traceback (most recent call last):")
        assert "hypervisor_observability" not in "".join(own[start:])
        assert own.count("Traceback (most recent call last):") == 1
        own = [line for line in own if any(f"{name} " in line for name in all_away)]
    assert len(own) == len(all_away), own
    assert "kept in the journal" not in lines[-1]  # there is none


def test_hvobs_run_claims_nothing_of_what_is_away(
    all_away: Mapping[str, Away], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_acme(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_config(
        "[plugins.acme]\n"
        + "".join(f"[plugins.{name}]\n{one.table}\n" for name, one in all_away.items())
    )
    use = "from acme_agents import Agent\nAgent('a', dict).run(city='Oslo')"

    lines = run([*HVOBS, "run", "-c", use]).stderr.splitlines()

    assert len(lines) == len(all_away) + 2, lines
    assert lines[-2].startswith("events not delivered: ")
    assert lines[-1].startswith("hvobs run: 3 events of 1 agent seen; ")
    assert lines[-1].endswith("; journal could not keep them")
    assert "statsd lacks 3 of 3" in lines[-1]
    assert "otel lacks 1 of 3" in lines[-1]  # the one that ended a span
