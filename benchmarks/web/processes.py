"""The processes around the browser: `hvobs serve`, what records, and what only listens."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import define

from benchmarks.rounds import ROOT, BenchmarkError

_ADDRESS = re.compile(r"(http://[^\s#]+)#token=(\S+)")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@define(eq=False)
class Served:
    """A server of the page.

    Attributes:
        pid: Its process.
        address: Without the token; ends in a slash.
        token: What a viewer shows.
    """

    pid: int
    address: str
    token: str

    @property
    def link(self) -> str:
        """The address as it is printed."""
        return f"{self.address}#token={self.token}"

    def cpu_seconds(self) -> float:
        """CPU time so far (proc(5): fields 14 and 15 of stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self) -> int:
        """Resident memory now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES


@contextmanager
def serving(journal: Path) -> Iterator[Served]:
    """Run `hvobs serve` over a journal."""
    arguments = ["hypervisor_observability", "serve", "--journal", str(journal), "--port", "0"]
    with process(*arguments) as started:
        assert started.stdout is not None
        yield _served(started.stdout, started.pid)


@contextmanager
def recording(*arguments: str) -> Iterator["Recording"]:
    """Run `benchmarks.web.recorded`, which records what *arguments* say."""
    with process("benchmarks.web.recorded", *arguments) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        yield Recording(started.pid, started.stdin, started.stdout)


@define(eq=False)
class Recording:
    """A program that records: told line by line what to do, it answers in JSON."""

    pid: int
    _input: IO[str]
    _output: IO[str]

    def tell(self, word: str) -> None:
        """Say what to do now."""
        self._input.write(f"{word}\n")
        self._input.flush()

    def answer(self) -> dict[str, object]:
        """Wait for its answer."""
        line = self._output.readline()
        if not line:
            raise BenchmarkError("the program that records has ended")
        answer: dict[str, object] = json.loads(line)
        return answer

    def ask(self, word: str) -> dict[str, object]:
        """Say what to do, and wait until it is done."""
        self.tell(word)
        return self.answer()


@contextmanager
def process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of Python until the block ends."""
    started = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def _served(output: IO[str], pid: int) -> Served:
    for line in output:
        if found := _ADDRESS.search(line):
            return Served(pid, found[1], found[2])
    raise BenchmarkError("hvobs serve has printed no address")
