"""One process of the agents in ``test_causal_processes``; run as a program.

It reads a plan: for each agent who starts it, in which process, and by which transport. The
agents of another process are asked for over HTTP or over a queue in a SQLite file; the
first agent of a process finds its caller in the environment.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from attrs import asdict, define, frozen

from hypervisor_observability.causality.propagation import Extracted, Propagator
from hypervisor_observability.config import Config
from hypervisor_observability.host.observability import Observability
from hypervisor_observability.recorder import Recorder

TIMEOUT = 90  # seconds; for all of it, however loaded the machine is


@frozen
class Planned:
    """An agent of the plan: its number is its place in it.

    Attributes:
        parent: The number of the agent that starts it; -1 for the first.
        process: Where it works.
        transport: ``call``, ``http``, ``queue`` or ``environment``.
    """

    parent: int
    process: int
    transport: str

    @property
    def is_first_of_its_process(self) -> bool:
        return self.parent < 0 or self.transport == "environment"


def make_plan(agents: int, processes: int, seed: int) -> list[Planned]:
    """Draw a plan; each process is started by an agent of one that was started before."""
    chance = random.Random(seed)
    plan = [Planned(-1, 0, "call")]
    for process in range(1, processes):
        plan.append(Planned(chance.randrange(len(plan)), process, "environment"))
    while len(plan) < agents:
        parent, process = chance.randrange(len(plan)), chance.randrange(processes)
        here = plan[parent].process == process
        transport = "call" if here else chance.choice(["http", "queue"])
        plan.append(Planned(parent, process, transport))
    return plan


def save_plan(plan: list[Planned], folder: Path) -> None:
    """Write the plan down for all processes, and make their queue."""
    (folder / "plan.json").write_text(json.dumps([asdict(planned) for planned in plan]))
    with closing(sqlite3.connect(folder / "queue.db")) as queue, queue:
        queue.execute("PRAGMA journal_mode = WAL")
        queue.execute("CREATE TABLE message (number INTEGER, process INTEGER, headers TEXT)")


@define(eq=False)
class Process:
    """One of the processes, at work."""

    folder: Path
    number: int
    plan: list[Planned]
    recorder: Recorder
    propagator: Propagator
    pool: ThreadPoolExecutor
    done: "list[int]"
    children: "list[subprocess.Popen[bytes]]"
    all_done: threading.Event

    def work(self, agent: int, caller: Extracted | None) -> None:
        """Be an agent, and start those that it has to start."""
        with self.recorder.agent(f"did:test:{agent}", caller=caller):
            for number, planned in enumerate(self.plan):
                if planned.parent == agent:
                    self.start(number, planned)
        self.done.append(agent)
        if len(self.done) == sum(planned.process == self.number for planned in self.plan):
            self.all_done.set()

    def start(self, number: int, planned: Planned) -> None:
        """Start an agent, by the transport that is planned for it."""
        if planned.transport == "call":
            self.work(number, None)
            return
        environment = planned.transport == "environment"
        carrier: dict[str, str] = dict(os.environ) if environment else {}
        self.propagator.inject(carrier, environment=environment)
        if environment:
            command = [sys.executable, __file__, str(self.folder), str(planned.process)]
            self.children.append(subprocess.Popen(command, env=carrier))
        elif planned.transport == "http":
            with closing(HTTPConnection("127.0.0.1", self.port_of(planned.process))) as peer:
                peer.request("POST", f"/{number}", headers=carrier)
                assert peer.getresponse().status == 202
        else:
            row = (number, planned.process, json.dumps(carrier))
            with closing(sqlite3.connect(self.folder / "queue.db", timeout=TIMEOUT)) as queue:
                with queue:
                    queue.execute("INSERT INTO message VALUES (?, ?, ?)", row)

    def port_of(self, process: int) -> int:
        """Wait until a process has told where it listens."""
        path, deadline = self.folder / f"port-{process}", time.monotonic() + TIMEOUT
        while not path.exists():
            assert time.monotonic() < deadline, f"process {process} does not listen"
            time.sleep(0.01)
        return int(path.read_text())

    def receive(self, number: int, carrier: dict[str, str]) -> None:
        """Have an agent work that another process asked for."""
        self.pool.submit(self.work, number, self.propagator.extract(carrier))

    def read_queue(self) -> None:
        """Take this process's messages from the queue until all of its agents are done."""
        with closing(sqlite3.connect(self.folder / "queue.db", timeout=TIMEOUT)) as queue:
            while not self.all_done.wait(0.01):
                with queue:
                    messages = queue.execute(
                        "DELETE FROM message WHERE process = ? RETURNING number, headers",
                        (self.number,),
                    ).fetchall()
                for number, headers in messages:
                    self.receive(number, json.loads(headers))


@contextmanager
def listening(process: Process) -> Iterator[None]:
    """Take requests over HTTP, and tell where."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            process.receive(int(self.path[1:]), dict(self.headers))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        draft = process.folder / f"draft-{process.number}"
        draft.write_text(str(server.server_port))
        draft.rename(process.folder / f"port-{process.number}")
        yield
        server.shutdown()
        thread.join()


def main(folder: Path, number: int) -> int:
    """Do this process's part of the plan; the exit code tells whether all of it was done."""
    plan = [Planned(**values) for values in json.loads((folder / "plan.json").read_text())]
    journal = {"directory": folder / "journal", "segment_bytes": 1024 * 1024}
    with (
        Observability(
            Config(service=f"process-{number}", plugins={"journal": journal})
        ) as observability,
        ThreadPoolExecutor(max_workers=8) as pool,
    ):
        process = Process(
            folder,
            number,
            plan,
            observability.recorder,
            Propagator(accept="continue"),
            pool,
            [],
            [],
            threading.Event(),
        )
        with listening(process):
            reader = threading.Thread(target=process.read_queue)
            reader.start()
            (first,) = (
                agent
                for agent, planned in enumerate(plan)
                if planned.process == number and planned.is_first_of_its_process
            )
            process.work(first, process.propagator.extract(dict(os.environ)) if number else None)
            finished = process.all_done.wait(TIMEOUT)
            process.all_done.set()
            reader.join()
    codes = [child.wait(TIMEOUT) for child in process.children]
    return 0 if finished and not any(codes) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
