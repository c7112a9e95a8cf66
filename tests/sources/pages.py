"""Run a page under ``docs/sources``, as a reader would: its files, its commands, in their order.

==============================  ==================================================================
block                           what is done with it
==============================  ==================================================================
```` ```python title="app.py" ````The file is written into an empty folder. The text before it names
                                it.
```` ```console ````            What follows ``$ `` is run there, and prints what the lines below it
                                show. A line ``...`` stands for any number of lines, also none.
``$ pip install X``             Nothing is installed: the environment has ``X``, in a version that
                                fits.
``notest``                      After the language: the block is left alone.
==============================  ==================================================================

Ids, times, durations, ports and runs of spaces are compared as such; see ``NORMAL``. What a page
sends to port 4318 is received.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from attrs import frozen
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from packaging.requirements import Requirement

from tests.configurations import write_config
from tests.markdown import Block, blocks_of
from tests.plugins.otel import acts
from tests.plugins.otel.fake_backend import FakeBackend
from tests.sources.seen import clean_environ, spans_of

PAGES = Path(__file__).parents[2] / "docs" / "sources"
BIN = Path(sys.executable).parent
OTLP_PORT = "4318"
"""Where the pages have their OTLP receiver: the port that OTLP over HTTP has by default."""

NORMAL = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?:[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{12})\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(ns|us|µs|ms|s|min|h)\b"), "DURATION"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+\b"), "ADDRESS"),
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
    try:
        for block in blocks_of(page):
            if not block.is_run:
                continue
            where = f"{page.name}:{block.line}"
            text = re.sub(rf"(?<=:){OTLP_PORT}\b", str(backend.port), block.text)
            if block.language == "console":
                for command in commands_of(text, block.line):
                    _run(command, folder, f"{page.name}:{command.line}")
            elif block.words:
                _write(block, text, folder, where)
            else:
                assert block.language == "text", f"{where}: shown, but not run: it has no name"
    finally:
        backend.stop()
    return spans_of(backend)


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


def _run(command: Command, folder: Path, where: str) -> None:
    if command.text.startswith("pip install "):
        _check_installed(shlex.split(command.text)[2:], where)
        return
    result = subprocess.run(
        ["sh", "-c", command.text],
        cwd=folder,
        env={**clean_environ(), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as a terminal shows both
        text=True,
        timeout=120,
        check=False,
    )
    assert matches(result.stdout, command.shown), (
        f"{where}: {command.text}\n--- prints:\n{result.stdout}\n--- is said to print:\n"
        f"{command.shown}"
    )


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
    parts = [".*\n" if line == "..." else f"{re.escape(line)}\n" for line in normal(shown)]
    pattern = "".join(f"(?:{part})*" if part == ".*\n" else part for part in parts)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in normal(printed))) is not None
