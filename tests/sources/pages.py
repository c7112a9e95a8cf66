"""Run a page of ``docs``, as a reader would: its files, its commands, in their order.

================================  ================================================================
block                             what is done with it
================================  ================================================================
```` ```python title="app.py" ````  The file is written into an empty folder. The text before it
                                  names it.
```` ```console ````              What follows ``$ `` is run there, and prints what the lines below
                                  it show. A line ``...`` stands for any number of lines, also none.
```` ```console title="NAME" ````   The same, in a terminal of its own, where the command keeps
                                  running: the page goes on once it has printed what is shown. A
                                  later block of that NAME begins with ``^C``, which ends it, and
                                  shows what it printed then.
``$ pip install X``               Nothing is installed: the environment has ``X``, in a version that
                                  fits.
``notest``                        After the language: the block is left alone.
================================  ================================================================

Ids, times, durations, ports, process ids, numbers of tests and runs of spaces are compared as
such; see ``NORMAL``. What a page sends to port 4318 is received. The other ``PORTS`` are free ones
of this machine. The folder is shown as ``FOLDER``.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

from attrs import frozen
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from packaging.requirements import Requirement

from tests.configurations import write_config
from tests.markdown import Block, blocks_of
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import FakeBackend
from tests.ports import free_ports
from tests.sources.seen import clean_environ, spans_of
from tests.sources.terminals import Terminal

PAGES = Path(__file__).parents[2] / "docs" / "sources"
BIN = Path(sys.executable).parent
OTLP_PORT = "4318"
"""Where the pages have their OTLP receiver: the port that OTLP over HTTP has by default."""
PORTS = ("4222", "8000", "8001", "8222", "9090", "9464")
"""Where the pages have servers of their own: each page's run gets free ports instead."""
READS = re.compile(
    r"hvobs (traces|tree|query|status|nats status)\b|curl --silent \S+/(metrics|api/\S+)"
)
"""Commands that only look: repeated until they show what the page shows, since what they look at
may be on its way from another process."""
PATIENCE_SECONDS = 60

FOLDER = "/srv/app"
"""What pages call the folder in which their commands run."""

NORMAL = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?:[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{12})\b"), "ID"),
    (re.compile(r"(?<=\w-)[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(ns|us|µs|ms|s|min|h)\b"), "DURATION"),
    (re.compile(r"\b\d+ (passed|skipped)\b"), r"NUMBER \1"),
    (re.compile(r"#token=\S+"), "#token=TOKEN"),
    (re.compile(r"^port \d+ is in use: this is port \d+\n", re.MULTILINE), ""),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+\b"), "ADDRESS"),
    (re.compile(r"\[\d+\]"), "[PID]"),
    (re.compile(r"[ \t]+"), " "),
)
"""What differs from run to run, and what it is compared as."""


@frozen
class Command:
    """A command that a page shows, and what it is said to print."""

    text: str
    shown: str
    line: int


def run_page(page: Path, folder: Path) -> list[Span]:
    """Run the *page* in the empty *folder*, and give the spans that it sent.

    :raises AssertionError: Something that the page shows does not hold.
    """
    backend = FakeBackend((acts.answering(200),))
    backend.start()
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    ports[OTLP_PORT] = str(backend.port)
    terminals: dict[str, Terminal] = {}
    try:
        for block in blocks_of(page):
            if not block.is_run:
                continue
            where = f"{page.name}:{block.line}"
            text = re.sub(rf"\b({'|'.join(ports)})\b", lambda found: ports[found[0]], block.text)
            if block.language == "console" and block.words:
                _in_terminal(block, text, folder, where, terminals)
            elif block.language == "console":
                for command in commands_of(text, block.line):
                    _run(command, folder, f"{page.name}:{command.line}", terminals.values())
            elif block.words:
                _write(block, text, folder, where)
            else:
                assert block.language == "text", f"{where}: shown, but not run: it has no name"
        for terminal in terminals.values():
            terminal.interrupt()
    finally:
        for terminal in terminals.values():
            terminal.close()
        backend.stop()
    return spans_of(backend)


def _in_terminal(
    block: Block, text: str, folder: Path, where: str, terminals: dict[str, Terminal]
) -> None:
    (name,) = block.words
    if text.startswith("^C\n"):
        terminal = terminals.pop(name)
        before = terminal.printed()
        shown = text.removeprefix("^C\n")
        try:
            terminal.interrupt()
            printed = _as_shown(terminal.printed().removeprefix(before), folder)
            assert matches(printed, shown), _differs(where, "Ctrl-C", printed, shown)
        finally:
            terminal.close()
        return
    (command,) = commands_of(text, block.line)
    assert name not in terminals, f"{where}: the terminal {name} is busy"
    terminals[name] = terminal = Terminal(command.text, folder / f".{name}.log", where)
    terminal.start(folder, environ_of_commands())
    terminal.wait_for(lambda printed: begins_with(_as_shown(printed, folder), command.shown))


def _write(block: Block, text: str, folder: Path, where: str) -> None:
    (name,) = block.words
    paragraph = block.before.rstrip().rpartition("\n\n")[2]
    assert f"`{name}`" in paragraph, f"{where}: the text before it does not name {name}"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_config(text, folder / name)


def commands_of(text: str, line: int) -> Iterator[Command]:
    """Give the commands of a console's *text*, which begins at *line* of the page."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0], f"line {line}: output of no command"
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command = f"{command[:-1]}{more}"
        yield Command(command, shown, line)
        line += part.count("\n")


def _run(command: Command, folder: Path, where: str, terminals: Collection[Terminal]) -> None:
    if command.text.startswith("pip install "):
        _check_installed(shlex.split(command.text)[2:], where)
        return
    deadline = time.monotonic() + (PATIENCE_SECONDS if READS.match(command.text) else 0)
    while True:
        printed = _as_shown(_output(command.text, folder), folder)
        if matches(printed, command.shown):
            return
        if time.monotonic() >= deadline:
            told = (_differs(where, command.text, printed, command.shown), *map(str, terminals))
            raise AssertionError("\n".join(told))
        time.sleep(0.2)


def _output(command: str, folder: Path) -> str:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environ_of_commands(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as a terminal shows both
        text=True,
        timeout=120,
        check=False,
    ).stdout


def _as_shown(printed: str, folder: Path) -> str:
    return printed.replace(str(folder.resolve()), FOLDER)


def environ_of_commands() -> dict[str, str]:
    """Give the environment in which the commands of a page are found: that of a reader."""
    # Where CI is set, pytest cuts no line.
    environ = {name: value for name, value in clean_environ().items() if name != "CI"}
    return {**environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def _differs(where: str, command: str, printed: str, shown: str) -> str:
    return f"{where}: {command}\n--- prints:\n{printed}\n--- is said to print:\n{shown}"


def _check_installed(names: list[str], where: str) -> None:
    for name in names:
        wanted = Requirement(name)
        version = metadata.version(wanted.name)
        assert wanted.specifier.contains(version, prereleases=True), f"{where}: {name}: {version}"


def normal(text: str) -> list[str]:
    """Give the lines of *text* without what differs from run to run."""
    for pattern, stands_for in NORMAL:
        text = pattern.sub(stands_for, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def matches(printed: str, shown: str) -> bool:
    """Whether a command printed what a page shows."""
    return re.fullmatch(_pattern(shown), _lines(printed)) is not None


def begins_with(printed: str, shown: str) -> bool:
    """Whether what a command has printed so far begins with what a page shows."""
    return re.match(_pattern(shown), _lines(printed)) is not None


def _pattern(shown: str) -> str:
    parts = [".*\n" if line == "..." else f"{re.escape(line)}\n" for line in normal(shown)]
    return "".join(f"(?:{part})*" if part == ".*\n" else part for part in parts)


def _lines(printed: str) -> str:
    return "".join(f"{line}\n" for line in normal(printed))
