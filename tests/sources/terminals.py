"""Terminals of a page: commands that keep running while the page goes on, such as servers."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import define, field

from tests.waiting import wait_until

WIDE_SECONDS = 90


@define(eq=False)
class Terminal:
    """One command and what it prints, until Ctrl-C ends it.

    Attributes:
        command: What the page shows after ``$``.
        log: Where both outputs go: a pipe that is not read would stop the command.
        where: The place on the page, for messages.
    """

    command: str
    log: Path
    where: str
    _process: "subprocess.Popen[bytes]" = field(init=False)
    _output: BinaryIO = field(init=False)

    def start(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Start the command, in a process group of its own, as a terminal's is."""
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            ["sh", "-c", f"exec {self.command}"],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended, by itself or by Ctrl-C."""
        return self._process.poll() is not None

    def __str__(self) -> str:
        """Say whether the command goes on, and what it has printed."""
        return self._told(f"{'has ended' if self.has_ended else 'goes on'}, and has printed")

    def printed(self) -> str:
        """Give what it has printed so far."""
        return self.log.read_text("utf-8", errors="replace")

    def wait_for(self, is_enough: Callable[[str], bool]) -> None:
        """Wait until what it has printed is enough.

        :raises AssertionError: It ended before, or did not print that within the time.
        """

        enough = False

        def is_decided() -> bool:
            nonlocal enough
            # Asked first: what it printed before it ended counts.
            ended = self.has_ended
            enough = is_enough(self.printed())
            return enough or ended

        with contextlib.suppress(AssertionError):  # below, what it printed is told, too
            wait_until(is_decided, timeout=WIDE_SECONDS)
        assert enough, f"has not printed what is shown:\n{self}"

    def interrupt(self) -> None:
        """Press Ctrl-C: every process of the group gets SIGINT. Wait for the end."""
        if not self.has_ended:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(WIDE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(self._told("goes on after Ctrl-C, and has printed")) from error

    def close(self) -> None:
        """Leave no process behind."""
        if not self.has_ended:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def _told(self, what: str) -> str:
        return f"{self.where}: {self.command}\n--- {what}:\n{self.printed()}"
