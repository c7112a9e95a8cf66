"""Programs whose end matters: what they print, and who delivered what before it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

# Python 3.12 starts no thread once a process ends, not even at the end of a fork's child.
NO_THREAD_AT_THE_END = sys.version_info[:2] == (3, 12)

# Each event leaves a line "<pid that emitted> <pid that delivered> <number>".
PRELUDE = """
import os, sys, threading, time
from hypervisor_observability import Config, EventType, Observability, hookimpl

out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Writing:
    name = "writing"
    @hookimpl
    def export_events(self, events):
        for event in events:
            line = f"{event.payload['pid']} {os.getpid()} {event.payload['n']}\\n"
            os.write(out, line.encode())
    @hookimpl
    def stop(self):
        os.write(out, f"stop {os.getpid()} 0\\n".encode())

class Hanging:
    name = "hanging"
    @hookimpl
    def export_events(self, events):
        threading.Event().wait(600)

def emit(count, start=0):
    for n in range(start, start + count):
        o.bus.record(EventType.VFS_WRITE, payload={"pid": os.getpid(), "n": n})

def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("hvobs-")]

"""
START = "o = Observability(Config(handle_sigterm=True), plugins=[Writing()]).start()\n"


def run(
    program: str, folder: Path, *, start: str = START, terminate: bool = False
) -> tuple[int, Counter[str], str]:
    """Run *program* without coverage, whose locks a fork would leave taken.

    Returns:
        The exit code, how many events of each process were delivered and by whom, and what was
        written to stderr.
    """
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    path = folder / "out"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + start + textwrap.dedent(program), path],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if terminate:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=90)
        except BaseException:
            process.kill()
            raise
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    delivered = [(a, b, n) for a, b, n in lines if a != "stop"]
    assert len(set(delivered)) == len(delivered), "delivered twice"
    main = str(process.pid)
    return (
        process.returncode,
        Counter(f"{'main' if a == main else 'child'} by {'main' if b == main else 'child'}"
                for a, b, _ in delivered),
        told,
    )  # fmt: skip
