"""The drill of a fleet ends what it starts, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.nats.servers import server_program
from tests.waiting import wait_until

_SERVERS = 3
_SECONDS = 120.0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_drill_that_is_interrupted_leaves_no_process_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    server_program()  # skips where there is none
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults", "--only", "fleet", "--quick"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    ) as drill:
        try:
            wait_until(lambda: drill.poll() is not None or len(over(tmp_path)) > _SERVERS, _SECONDS)
        finally:
            drill.send_signal(number)
        assert drill.wait(_SECONDS) == 128 + number

    wait_until(lambda: not over(tmp_path))


def over(folder: Path) -> list[str]:
    """Give the commands of all processes that work in *folder*."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        if str(folder) in command:
            commands.append(command)
    return commands
