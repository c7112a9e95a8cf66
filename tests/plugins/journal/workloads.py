"""A process that writes numbered events, and says of each what became of it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

WORKLOAD = """
import os, sys
from pathlib import Path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal import JournalConfig
from hypervisor_journal.upkeep.upkeep import Upkeep
from hypervisor_journal.writing.writer import JournalWriter

directory, count = Path(sys.argv[1]), int(sys.argv[2])
writer = JournalWriter(directory, segment_bytes=65536)
config = JournalConfig(directory=directory, sync_seconds=0.005, max_bytes=1 << 40)
upkeep = Upkeep(writer=writer, config=config)
upkeep.begin()
for number in range(count):
    event = HypervisorEvent(
        event_id=f"{number:016x}", event_type=EventType.VFS_WRITE, payload={"number": number}
    )
    before = writer.lost
    writer.append(event, lambda event: None)
    told = b"lost " if writer.lost > before else b"done "
    os.write(1, told + event.event_id.encode() + b"\\n")
upkeep.end(10)
"""


def start_workload(directory: Path, count: int, *before: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", WORKLOAD, str(directory), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # a line that is read takes none of the following along
        start_new_session=True,
    )


def told(output: bytes) -> tuple[list[int], list[int]]:
    """What the workload was told of: accepted, and lost. A line may be cut off."""
    lines = [line.split() for line in output.decode().splitlines() if len(line) == 21]
    accepted = [int(number, 16) for word, number in lines if word == "done"]
    lost = [int(number, 16) for word, number in lines if word == "lost"]
    return accepted, lost


def strace_or_skip(find: Callable[..., str]) -> str:
    return find(
        "strace",
        lambda: shutil.which("strace"),
        "On Debian: apt-get install strace.",
    )
