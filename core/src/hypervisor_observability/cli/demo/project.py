"""The small project that the demonstration releases, and the tools that work on it.

The tools are real: each is a process of its own that reads and writes real files.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from attrs import frozen

from .sources import BUGGY, FILES

TOOL_SECONDS = 30.0
"""Longest time that one tool may take."""


class ToolFailed(Exception):  # noqa: N818 - it says what happened
    """A tool ended badly; the message says why in one line."""


@frozen
class Project:
    """The project, written to a folder.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @classmethod
    def write(cls, folder: Path) -> Self:
        """Write the project's files into *folder*."""
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return cls(folder)

    @property
    def app(self) -> Path:
        """What goes into an archive."""
        return self.folder / "app"

    @property
    def buggy(self) -> Path:
        """The file with the bug."""
        return self.folder / BUGGY

    def archive(self, version: str) -> Path:
        """Where the archive of a version is built."""
        return self.folder / "dist" / f"textkit-{version}.pyz"

    def name(self, path: Path) -> str:
        """Give *path* as it is called within the project."""
        return path.relative_to(self.folder).as_posix()

    def leftovers(self) -> list[str]:
        """Name what is in the folder and is neither a source nor a folder of sources."""
        names = {self.name(path) for path in self.folder.rglob("*")}
        folders = {parent.as_posix() for name in FILES for parent in Path(name).parents}
        return sorted(names - folders - FILES.keys())

    def byte_compile(self) -> list[Path]:
        """Byte-compile; give the files that this wrote.

        Raises:
            ToolFailed: A file is no Python.
        """
        _run_python(self.folder, "-m", "compileall", "-q", "app")
        return sorted(self.app.rglob("*.pyc"))

    def remove_byte_code(self) -> list[Path]:
        """Take ``byte_compile`` back; give what was removed."""
        removed = sorted(self.app.rglob("*.pyc"))
        for folder in {path.parent for path in removed}:
            shutil.rmtree(folder)
        return removed

    def build(self, version: str) -> Path:
        """Build the archive of a version, which Python can run.

        Raises:
            ToolFailed: It cannot be built.
        """
        archive = self.archive(version)
        archive.parent.mkdir(exist_ok=True)
        entry = "textkit.command:main"
        _run_python(self.folder, "-m", "zipapp", "app", "-m", entry, "-o", str(archive))
        return archive

    def remove_archive(self, version: str) -> list[Path]:
        """Take ``build`` back; give what was removed."""
        archive = self.archive(version)
        archive.unlink()
        archive.parent.rmdir()
        return [archive]

    def test(self, what: Path) -> int:
        """Run the tests against an archive or a folder; tell how many there are.

        Raises:
            ToolFailed: Tests failed, or there are none.
        """
        done = _python(
            self.folder,
            *("-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."),
            variables={"TEXTKIT": str(what)},
        )
        run = re.search(r"^Ran (\d+) test", done.stderr, re.MULTILINE)
        number = 0 if run is None else int(run[1])
        if done.returncode or not number:
            raise ToolFailed(_test_failure(done.stderr, number))
        return number

    def publish(self, archive: Path) -> Path:
        """Copy *archive* to where releases are; give that file.

        Raises:
            ToolFailed: There is a release of that name.
        """
        released = self.folder / "releases" / archive.name
        released.parent.mkdir(exist_ok=True)
        if released.exists():
            raise ToolFailed(f"{released.name} was released before")
        unfinished = released.with_suffix(".unfinished")
        shutil.copyfile(archive, unfinished)
        return unfinished.replace(released)

    def withdraw(self, archive: Path) -> list[Path]:
        """Take ``publish`` back; give what was removed."""
        released = self.folder / "releases" / archive.name
        released.unlink(missing_ok=True)
        released.parent.rmdir()
        return [released]

    def run(self, archive: Path, text: str) -> str:
        """Run an archive on *text*, and give what it writes.

        Raises:
            ToolFailed: It fails.
        """
        return _run_python(self.folder, "-B", str(archive), text=text).strip()


def _run_python(folder: Path, *arguments: str, text: str = "") -> str:
    done = _python(folder, *arguments, text=text)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise ToolFailed(f"{_tool(arguments)} ended with {done.returncode}: {said}")
    return done.stdout


def _python(
    folder: Path, *arguments: str, text: str = "", variables: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    try:
        # run() kills the process before it lets an exception through, Ctrl-C's too.
        return subprocess.run(  # noqa: S603 - this Python, with arguments of our own
            # -I -S: nothing of this process's own environment gets in, and it starts faster.
            [sys.executable, "-I", "-S", *arguments],
            cwd=folder,
            env={**os.environ, **(variables or {})},
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TOOL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{_tool(arguments)} took longer than {TOOL_SECONDS:g} s") from error


def _tool(arguments: tuple[str, ...]) -> str:
    return next(Path(part).name for part in arguments if not part.startswith("-"))


def _test_failure(report: str, number: int) -> str:
    """Say in one line which test failed first, as unittest reports it."""
    failed = re.findall(r"^(?:FAIL|ERROR): (\w+)", report, re.MULTILINE)
    why = re.search(r"^(\w+(?:Error|Exception).*)$", report, re.MULTILINE)
    reasons = [f"{len(failed)} of {number} tests failed", *failed[:1]]
    return ": ".join([*reasons, why[1]] if why else reasons)
