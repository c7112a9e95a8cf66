"""A small fleet: runs are recorded, a process ships them, and agents share them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from hypervisor_journal.writing.writer import JournalWriter
from hypervisor_nats.config import NatsConfig
from hypervisor_observability import EventType, HypervisorEvent
from tests.plugins.nats.notes import PLUGINS, Note, noted, notes_in
from tests.plugins.nats.processes import Process, agent_of, shipper_of
from tests.waiting import wait_until

NUMBERED = EventType.RING_BREACH_DETECTED
BATCH_EVENTS = 32
_RUN_EVENTS = 10
_SEGMENT_BYTES = 65_536
_SECONDS = 120.0


@define(eq=False)
class SmallFleet:
    """A journal, its shipper, and agents that note what they deliver.

    Attributes:
        config: Of the stream.
        folder: Where everything is kept.
        agents: They share the stream.
        shipper: Of the journal.
        recorded: Ids of all events that were recorded.
    """

    config: NatsConfig
    folder: Path
    agents: list[Process]
    shipper: Process
    recorded: set[str] = field(factory=set)
    _repeated_before: int = field(default=0, init=False)
    _runs: Iterator[int] = field(factory=itertools.count)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def notes(self) -> list[Note]:
        return notes_in(self.folder / "notes")

    def record(self, runs: int = 4) -> set[str]:
        """Record runs that are over, of ten events each; give the events' ids."""
        ids: set[str] = set()
        for run in itertools.islice(self._runs, runs):
            writer = JournalWriter(self.journal, segment_bytes=_SEGMENT_BYTES)
            for number in range(_RUN_EVENTS):
                id_ = f"{run}.{number}"
                event = HypervisorEvent(
                    event_id=id_, event_type=NUMBERED, agent_did="did:mesh:a", session_id="s"
                )
                writer.append(event, _pass)
                ids.add(id_)
            writer.close()
        self.recorded |= ids
        return ids

    def await_delivery(self) -> None:
        """Wait until all that was recorded was delivered."""
        wait_until(lambda: noted(self.notes) >= self.recorded, _SECONDS)

    def await_sharing(self) -> None:
        """Record until each agent delivers some of it."""
        begun = len(self.notes)
        pids = {agent.pid for agent in self.agents}

        def shared() -> bool:
            self.record()
            self.await_delivery()
            return pids <= {note.pid for note in self.notes[begun:]}

        wait_until(shared, _SECONDS)

    def be_whole(self) -> None:
        """Have every process run and deliver; earlier repeats no longer count."""
        for process in (self.shipper, *self.agents):
            process.ensure_running()
        self.await_sharing()
        self._repeated_before += self.repeated()

    def repeated(self) -> int:
        """Count what was delivered more than once."""
        delivered = sum(len(note.ids) for note in self.notes)
        return delivered - len(noted(self.notes)) - self._repeated_before


@contextmanager
def small_fleet(config: NatsConfig, folder: Path, ports: "tuple[int, ...]") -> Iterator[SmallFleet]:
    """Run a shipper, and an agent for each port at which metrics are to be.

    :param ports: 0 for any.
    """
    (folder / "notes").mkdir()
    (folder / "journal").mkdir()
    fleet = SmallFleet(
        config,
        folder,
        [_agent(config, folder, number, port) for number, port in enumerate(ports)],
        shipper_of(config, folder, "shipper", folder / "journal"),
    )
    everybody = [fleet.shipper, *fleet.agents]
    try:
        for process in everybody:
            process.start()
        yield fleet
        for process in everybody:
            process.end()
        assert not [failure for process in everybody for failure in process.failures]
    finally:
        for process in everybody:
            if process.lives:
                process.kill()


def _agent(config: NatsConfig, folder: Path, number: int, port: int) -> Process:
    return agent_of(
        config,
        folder,
        f"agent-{number}",
        f'plugins_dir = "{PLUGINS}"\nstop_timeout_seconds = 30',
        f'[plugins.noting]\ndirectory = "{folder / "notes"}"\nmax_batch_events = {BATCH_EVENTS}\n'
        f"[plugins.prometheus]\nport = {port}\n",
    )


def _pass(_: HypervisorEvent) -> None:
    pass
