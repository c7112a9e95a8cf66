"""What runs beside the browser in processes of its own: `hvobs serve`, and a program at work."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from attrs import define, field

from tests.commands import HVOBS

_LINK = re.compile(r"(http://[^\s#]+)#token=(\S+)")
_PROGRAM = """
import sys
from hypervisor_observability import Config, Observability

with Observability(Config(plugins={"journal": {"directory": sys.argv[1]}})) as observability:
    for name in map(str.strip, iter(sys.stdin.readline, "")):
        with observability.recorder.agent("did:mesh:worker", name="worker", ring=2):
            with observability.recorder.tool(name):
                print("begun", flush=True)
                sys.stdin.readline()
        observability.flush(timeout=60)
        print("ended", flush=True)
"""


@define(eq=False)
class Program:
    """A program with the recorder, which calls a tool when a test says so."""

    _process: "subprocess.Popen[str]"

    @classmethod
    @contextmanager
    def recording(cls, journal: Path) -> Iterator["Program"]:
        """Run one that writes *journal*."""
        with _running([sys.executable, "-c", _PROGRAM, str(journal)]) as process:
            yield cls(process)

    def begin(self, tool: str) -> None:
        """Begin a call of *tool*, and do not end it."""
        self._tell(tool, "begun")

    def end(self) -> None:
        """End it."""
        self._tell("", "ended")

    def call(self, tool: str) -> None:
        """Call *tool*."""
        self.begin(tool)
        self.end()

    def _tell(self, line: str, answer: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert _output(self._process).readline() == f"{answer}\n"


@define(eq=False)
class Serving:
    """`hvobs serve` over a journal.

    Attributes:
        link: The address that it printed, with its token.
        pid: Of its process.
    """

    link: str
    pid: int
    _process: "subprocess.Popen[str]" = field(repr=False)

    @classmethod
    @contextmanager
    def over(cls, journal: Path, port: int = 0) -> Iterator["Serving"]:
        """Serve *journal* at *port*."""
        with cls.started("--journal", str(journal), "--port", str(port)) as serving:
            yield serving

    @classmethod
    @contextmanager
    def started(cls, *options: str) -> Iterator["Serving"]:
        """Serve what *options* say."""
        with _running([*HVOBS, "serve", *options]) as process:
            said = []
            for line in _output(process):
                said.append(line)
                if found := _LINK.search(line):
                    yield cls(found[0], process.pid, process)
                    return
            raise AssertionError(f"hvobs serve has printed no address: {''.join(said)}")

    @property
    def address(self) -> str:
        """The address without the token."""
        return self.link.partition("#")[0]

    def at(self, view: str) -> str:
        """The address of a view, such as ``/agents``, with the token."""
        return f"{self.link}&{view}"

    def threads(self) -> int:
        """How many threads it has now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)[0])


@contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _output(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout
