"""Prove a journal, in a process that does nothing else."""

import json
import subprocess
import sys

from benchmarks.cases import Measure, Measures
from benchmarks.cases.journals import directory, make_events, write

# The peak of resident memory: Linux, proc(5), status.
_VERIFY = """
import json, sys, time
from pathlib import Path

from hypervisor_journal.runs.runs import runs_of
from hypervisor_journal.proof.verification import verify

(run,) = runs_of(Path(sys.argv[1]))
start = time.process_time()
found = verify(run)
seconds = time.process_time() - start
size = sum(path.stat().st_size for _, path in run.segments())
kibibytes = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(json.dumps([found.events, found.reason, size, seconds, kibibytes * 1024]))
"""


def prepare(*, events: int, record_bytes: int = 0) -> Measure:
    """Measure ``all``, seconds, ``record``, seconds, and ``resident``, bytes."""

    def measure() -> Measures:
        with directory() as journal:
            write(journal, make_events(events, record_bytes))
            done = subprocess.run(
                [sys.executable, "-c", _VERIFY, str(journal)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        found, reason, size, seconds, resident = json.loads(done.stdout)
        assert found == events, reason
        assert size >= events * record_bytes, size
        return {"all": seconds, "record": seconds / events, "resident": resident}

    return measure
