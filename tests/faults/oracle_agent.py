"""``python -m tests.faults.oracle_agent ROLE NAME JOURNAL PORT``: a process of the oracle's run.

Roles: ``delivering`` emits and delivers in the process, ``writing`` emits and only journals,
``exporting`` delivers what others have journalled. SIGUSR1 has it fork a child that emits,
SIGUSR2 leaves it without disk for a while, SIGTERM ends it. It prints the id of each event that
the journal has, and at its end ``end``, whether something was not delivered, and by how many
events its accounts are wrong.
"""

import http.client
import itertools
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hypervisor_observability import (
    Config,
    Counts,
    EventType,
    HypervisorEvent,
    Observability,
    RetryLater,
    hookimpl,
)
from hypervisor_observability.host.agent import Agent
from hypervisor_observability.threads.stop_signals import SignalEvent
from tests.faults.measuring import error_of

PER_SECOND = 200
_CHILD_EVENTS = 50
_SEGMENT_BYTES = 256 * 1024
_WITHOUT_DISK_SECONDS = 3.0
_TIMEOUT_SECONDS = 2.0


def payload_of(event_id: str) -> dict[str, object]:
    """Give the payload that belongs to an id: whoever has one can tell what it must be."""
    return {"made_of": event_id, "text": event_id * (1 + sum(event_id.encode()) % 7)}


class Sender:
    """Posts ids and payloads to the oracle, as JSON lines."""

    name = "sender"

    def __init__(self, port: int) -> None:
        self._port = port

    @hookimpl
    def export_events(self, events: Sequence[HypervisorEvent]) -> None:
        """Send; anything but a yes asks to retry."""
        body = "\n".join(
            json.dumps([event.event_id, dict(event.payload)])
            for event in events
            if event.event_type is EventType.VFS_WRITE
        )
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            with closing(connection):
                connection.request("POST", "/", body.encode())
                answer = connection.getresponse()
                said = answer.read(100)
        except (OSError, http.client.HTTPException) as error:
            raise RetryLater(f"no answer: {error}") from error
        if answer.status != 200 or said != b"taken":
            after = answer.getheader("Retry-After")
            raise RetryLater(
                f"status {answer.status}", after=None if after is None else float(after)
            )


class Emitting:
    """Emits, and notes each event of which the journal says that it has it."""

    def __init__(self, observability: Observability, name: str) -> None:
        self._observability = observability
        self._name = name
        self._numbers = itertools.count()
        self._forks = 0

    def emit(self) -> None:
        """Emit one."""
        event_id = f"{self._name}.{next(self._numbers)}"
        event = HypervisorEvent(
            event_id=event_id, event_type=EventType.VFS_WRITE, payload=payload_of(event_id)
        )
        before = self._lost()
        self._observability.bus.emit(event)
        if self._lost() == before:
            os.write(1, f"{event_id}\n".encode())

    def fork(self) -> None:
        """Fork a child that emits and leaves without a word."""
        self._forks += 1
        child = os.fork()
        if child == 0:
            self._name += f"c{self._forks}"
            for _ in range(_CHILD_EVENTS):
                self.emit()
            os._exit(0)
        threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()

    def _lost(self) -> int:
        journal = self._observability.status()["store"]
        return int(journal["lost"])


def run_emitting(role: str, name: str, directory: Path, port: int) -> None:
    """Emit until SIGTERM comes; then deliver."""
    stopping, asked = SignalEvent(), {"fork": False}
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGUSR1, lambda *_: asked.update(fork=True))
    signal.signal(signal.SIGUSR2, lambda *_: _be_without_disk())
    config = Config(
        plugins={"journal": {"directory": directory, "segment_bytes": _SEGMENT_BYTES}},
        stop_timeout_seconds=60,
    )
    plugins = [Sender(port)] if role == "delivering" else []
    with Observability(config, plugins=plugins) as observability:
        emitting = Emitting(observability, name)
        while not stopping.wait(10 / PER_SECOND):
            for _ in range(10):
                emitting.emit()
            if asked["fork"]:
                asked["fork"] = False
                emitting.fork()
        delivered = observability.flush(100)
        _tell_end(delivered=delivered, counts=observability.counts())


def _be_without_disk() -> None:
    """Have every file that would grow refused: EFBIG, as a full disk refuses."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))
    back = threading.Timer(
        _WITHOUT_DISK_SECONDS, resource.setrlimit, (resource.RLIMIT_FSIZE, (most, most))
    )
    back.daemon = True
    back.start()


def run_exporting(directory: Path, port: int) -> None:
    """Deliver until SIGTERM comes."""
    stopping = SignalEvent()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    config = Config(stop_timeout_seconds=60, plugins={"journal": {"directory": directory}})
    with Agent(config, plugins=[Sender(port)]) as agent:
        while not stopping.wait(0.2):
            pass
        delivered = agent.flush(100)
        _tell_end(delivered=delivered, counts=agent.counts())


def _tell_end(*, delivered: bool, counts: dict[str, Counts]) -> None:
    error = sum(map(error_of, counts.values()))
    os.write(1, f"end {int(not delivered)} {error}\n".encode())


def main() -> None:
    """Do what the arguments say."""
    role, name, directory, port = sys.argv[1:]
    if role == "exporting":
        run_exporting(Path(directory), int(port))
    else:
        run_emitting(role, name, Path(directory), int(port))


if __name__ == "__main__":
    main()
