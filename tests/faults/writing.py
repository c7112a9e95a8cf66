"""``python -m tests.faults.writing DIRECTORY COUNT [EVERY]``: write a journal; tell of each event.

A line for each, when ``append`` has returned: ``done`` or ``lost`` and the event's id. With EVERY,
upkeep has no thread of its own and looks after so many events: all runs make the same calls.
"""

import os
import subprocess
import sys
from pathlib import Path

from hypervisor_journal import JournalConfig
from hypervisor_journal.format.encoding import event_of
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.runs.runs import Run, runs_of
from hypervisor_journal.upkeep.upkeep import Upkeep
from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_observability import EventType, HypervisorEvent

SEGMENT_BYTES = 65_536
"""The least that the configuration allows: many segments."""


def numbered_event(number: int) -> HypervisorEvent:
    """Make the event of a number, the same each time but for its moment."""
    return HypervisorEvent(
        event_id=f"{number:016x}",
        event_type=EventType.VFS_WRITE,
        session_id="s",
        payload={"number": number},
    )


def write(directory: Path, count: int, every: int = 0) -> None:
    """Write *count* events into a run of its own, telling of each."""
    writer = JournalWriter(directory, segment_bytes=SEGMENT_BYTES)
    # Synced ten times as often as by default, so that every call of the system comes early.
    config = JournalConfig(directory=directory, sync_seconds=0.005, max_bytes=1 << 40)
    upkeep = Upkeep(writer=writer, config=config)
    if not every:
        upkeep.begin()
    for number in range(count):
        before = writer.lost
        event = numbered_event(number)
        writer.append(event, lambda _: None)
        word = "lost" if writer.lost > before else "done"
        os.write(1, f"{word} {event.event_id}\n".encode())
        if every and number % every == 0:
            upkeep.look()
    if every:
        upkeep.look(last=True)
    upkeep.end(10)


def start(directory: Path, count: int, *before: str, every: int = 0) -> "subprocess.Popen[bytes]":
    """Write in a process of its own; *before* is a command that starts it."""
    arguments = [str(directory), str(count), str(every)]
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tests.faults.writing", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # a line that is read takes none of the following along
        start_new_session=True,
    )


def told(output: bytes) -> tuple[list[int], list[int]]:
    """Read what was told: the numbers accepted, and lost. The last line may be cut off."""
    lines = [line.split() for line in output.decode().splitlines() if len(line) == 21]
    accepted = [int(number, 16) for word, number in lines if word == "done"]
    lost = [int(number, 16) for word, number in lines if word == "lost"]
    return accepted, lost


def numbers_in(run: Run) -> list[int]:
    """Give the numbers that a reader finds in *run*, each once and in its order."""
    return [int(event_of(record).payload["number"]) for record in RunReader(run).records(0)]


def found_in(directory: Path) -> list[int]:
    """Give those of all runs."""
    return [number for run in runs_of(directory) for number in numbers_in(run)]


def query_fails(directory: Path) -> bool:
    """Ask for all events, as ``hvobs query`` does: with what it is told of, it exits with 1."""
    notices: list[str] = []
    for _ in JournalHistory(directory, notices.append).events():
        pass
    return bool(notices)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
