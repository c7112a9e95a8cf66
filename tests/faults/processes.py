"""What is tried of processes: forks under load, and every way to end."""

from collections.abc import Iterable

from tests.faults.figure import Figure, zeros
from tests.faults.measuring import temporary_directory
from tests.programs import run_python

_FORKS = """
import os, sys, threading, time
from tests.faults.plugins import Taking
from hypervisor_observability import EventType, Observability
o = Observability(plugins=[Taking()]).start()
stop = threading.Event()
def load():
    while not stop.is_set():
        for _ in range(20):
            o.bus.record(EventType.VFS_WRITE)
        time.sleep(0.001)
threads = [threading.Thread(target=load) for _ in range(4)]
[thread.start() for thread in threads]
dead = wrong = 0
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        for _ in range(50):
            o.bus.record(EventType.VFS_WRITE)
        ok = o.flush(20)
        counts = o.counts()["taking"]
        os._exit(0 if ok and counts.emitted == counts.delivered == 50 else 1)
    deadline = time.monotonic() + 40
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            wrong += status != 0
            break
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            dead += 1
            break
        time.sleep(0.002)
stop.set()
[thread.join() for thread in threads]
o.flush(30)
counts = o.counts()["taking"]
print(dead, wrong, counts.emitted - counts.delivered)
o.stop()
"""


def forks(*, quick: bool) -> Iterable[Figure]:
    """Fork under load."""
    count = 20 if quick else 200
    done = run_python(_FORKS, count, flags=("-W", "ignore"), check=True, timeout=1_200)
    dead, wrong, lost = map(int, done.stdout.split())
    yield zeros(
        "C11",
        f"{count} forks under load: dead-locks; children with a loss; parent's losses",
        dead,
        wrong,
        lost,
    )


_ENDING = """
import asyncio, multiprocessing, os, signal, sys, threading
from hypervisor_observability import Config, DeliveryConfig, EventType, Observability, hookimpl
class Writing:
    name = "writing"
    @hookimpl
    def export_events(self, events):
        with open(sys.argv[2], "a") as file:
            file.write("x" * len(events))
config = Config(handle_sigterm=True, delivery=DeliveryConfig(interval_seconds=3_600))
o = Observability(config, plugins=[Writing()])
def emit():
    for _ in range(10):
        o.bus.record(EventType.VFS_WRITE)
def child(module):
    o.start()
    one = __import__(module).get_context("fork").Process(target=emit)
    one.start()
    one.join()
async def main():
    async with o:
        emit()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
def forked():
    o.start()
    if os.fork() == 0:
        emit()
        sys.exit(0)
    os.wait()
def thread():
    o.start()
    one = threading.Thread(target=lambda: (emit(), sys.exit(1)))
    one.start()
    one.join()
{
    "return": lambda: (o.start(), emit()),
    "sys.exit": lambda: (o.start(), emit(), sys.exit(1)),
    "exception": lambda: (o.start(), emit(), 1 / 0),
    "SIGTERM": lambda: (o.start(), emit(), os.kill(os.getpid(), signal.SIGTERM)),
    "async with": lambda: asyncio.run(main()),
    "os.fork": forked,
    "multiprocessing": lambda: child("multiprocessing"),
    "billiard": lambda: child("billiard"),
    "thread": thread,
}[sys.argv[1]]()
"""


_WAYS = (
    *("return", "sys.exit", "exception", "SIGTERM", "async with", "os.fork"),
    *("multiprocessing", "billiard", "thread"),
)


def endings(*, quick: bool) -> Iterable[Figure]:
    """End a process in each way in which something can be done."""
    lost = []
    with temporary_directory() as folder:
        for way in _WAYS[:: 4 if quick else 1]:
            out = folder / way.replace(" ", "_")
            run_python(_ENDING, way, out, flags=("-W", "ignore"))
            if (len(out.read_bytes()) if out.exists() else 0) != 10:
                lost.append(way)
    yield Figure(
        fault="C12",
        what=f"{len(_WAYS)} ways in which a process ends: those in which an event was lost",
        value=", ".join(lost) or "none",
        goal="none",
        holds=not lost,
    )
