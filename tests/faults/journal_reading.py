"""What is tried of reading a journal: torn ends, looks at one that is being written, erasing."""

import random
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypervisor_journal.proof.verification import Verdict, verify
from hypervisor_journal.reading.history import JournalHistory
from hypervisor_journal.reading.reader import RunReader
from hypervisor_journal.reading.segment_reader import Damage
from hypervisor_journal.runs.runs import runs_of
from tests.commands import run_hvobs
from tests.faults.figure import Figure, zeros
from tests.faults.measuring import temporary_directory
from tests.faults.writing import query_fails

_SEED = 20261126
_WRITING = """
import sys, time
from pathlib import Path
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_journal.writing.writer import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), segment_bytes=262_144)
events = [
    HypervisorEvent(event_type=EventType.VFS_WRITE, payload={"text": "a" * size})
    for size in (10, 200, 3_000)
]
writer.open()
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for event in events:
        writer.append(event, lambda _: None)
writer.close()
"""
_WORKING = """
import os, sys
from pathlib import Path
from hypervisor_observability import Config, EventType, Observability, hookimpl
class Spans:
    name = "spans"
    @hookimpl
    def export_spans(self, spans): pass
journal = {"journal": {"directory": sys.argv[1]}}
observability = Observability(Config(plugins=journal), plugins=[Spans()]).start()
for number in range(60):
    agent = number % 3
    said = f"what agent {agent} says, number {number}"
    payload = {"saga_id": str(number), "name": said, "tool": said, "number": number}
    for kind in (EventType.SESSION_JOINED, EventType.SAGA_CREATED, EventType.VFS_WRITE):
        observability.bus.record(kind, agent_did=f"did:mesh:{agent}", payload=payload)
assert observability.flush(timeout=60)
observability.bus.sync()
os._exit(0)
"""


def torn(*, quick: bool) -> Iterable[Figure]:
    """Kill a process that appends, at a random moment; then ask its journal."""
    rounds = 25 if quick else 1_000
    dice = random.Random(_SEED)
    moments = [dice.uniform(0, 0.1) for _ in range(rounds)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(_kill, moments))
    failed, bad, ends = (sum(result[place] for result in results) for place in range(3))
    yield zeros(
        "J23",
        f"{rounds:,} processes killed while they append: queries that fail afterwards; "
        f"runs that `verify` calls bad (ends in the middle of a record: {ends})",
        failed,
        bad,
    )


def _kill(moment: float) -> tuple[int, int, int]:
    with temporary_directory() as directory:
        process = _start(_WRITING, directory, "60")
        time.sleep(moment)
        process.kill()
        process.communicate()
        verified = [verify(run) for run in runs_of(directory)]
        bad = sum(one.verdict is Verdict.BAD for one in verified)
        return query_fails(directory), bad, sum(one.torn for one in verified)


def looks(*, quick: bool) -> Iterable[Figure]:
    """Look at the end of a journal again and again while it is being written."""
    seconds = 5 if quick else 120
    damages: list[Damage | str] = []
    count = 0
    with temporary_directory() as directory:
        process = _start(_WRITING, directory, str(seconds))
        (run,) = runs_of(directory)
        reader, position = RunReader(run, damages.append), 0
        while process.poll() is None:
            for record in reader.records(position):
                position = record.sequence + 1
            count += 1
            if count % 1_000 == 0:
                for _ in JournalHistory(directory, damages.append).events():
                    pass
        process.communicate()
        sound = verify(run).events == position
    yield Figure(
        fault="J23",
        what=f"{count:,} looks at a journal that is being written: damage told where none is; "
        "events not seen",
        value=f"{len(damages)}; {'none' if sound else 'some'}",
        goal="0; none",
        holds=not damages and sound,
    )


def erasures(*, quick: bool) -> Iterable[Figure]:
    """Erase one of three agents from the journal of a process that has died."""
    rounds = 3 if quick else 60
    left = lost = bad = 0
    for number in range(rounds):
        subject = number % 3
        with temporary_directory() as directory:
            _start(_WORKING, directory).communicate()
            arguments = ["--journal", str(directory), "--subject", f"did:mesh:{subject}", "--yes"]
            bad += run_hvobs("journal", "erase", *arguments).exit_code != 0
            content = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
            for said in range(60):
                text = f"what agent {said % 3} says, number {said}".encode()
                there = any(text in one for one in content)
                left += there and said % 3 == subject
                lost += not there and said % 3 != subject
            bad += sum(verify(run).verdict is Verdict.BAD for run in runs_of(directory))
    yield zeros(
        "J22",
        f"one of three agents erased from each of {rounds} journals with open spans saved: of "
        "what it said, still in any file; of what others said, gone; journals that do not verify",
        left,
        lost,
        bad,
    )


def _start(program: str, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(directory), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    if program is _WRITING:
        assert process.stdout is not None
        process.stdout.readline()
    return process
