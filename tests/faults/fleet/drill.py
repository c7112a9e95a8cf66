"""What is done to a fleet, at random moments, while it works."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from attrs import define, field

from tests.faults.fleet.notes import ENDED, KILLED, PAUSED, Incident
from tests.faults.fleet.processes import Fleet, Writer
from tests.plugins.nats.processes import Process
from tests.plugins.nats.servers import leader_of
from tests.threads import all_at_once

_AWAY_SECONDS = 4.0
"""Longer than a lease and a takeover: a restarted agent finds its partitions taken."""
_SETTLE_SECONDS = 3.0
_ELECTION_SECONDS = 10.0
_BUSY_SECONDS = 30.0
_LOOK_SECONDS = 0.05


@define(eq=False)
class Drill:
    """The faults caused in a fleet.

    Attributes:
        fleet: The fleet.
        dice: Chooses faults, their victims and their moments.
        incidents: What was done to agents.
        faults: How often each fault was caused.
        restarts: How often an agent that had ended by itself was started again.
    """

    fleet: Fleet
    dice: random.Random
    incidents: list[Incident] = field(factory=list)
    faults: Counter[str] = field(factory=Counter)
    restarts: int = 0

    def cause_faults(self, seconds: float) -> None:
        """Cause every fault in turn, then others at random, until the writers are done.

        :param seconds: Most time between two faults.
        """
        kinds = self._kinds()
        coming = list(kinds)
        while any(writer.lives for writer in self.fleet.writers):
            name = coming.pop(0) if coming else self.dice.choice(list(kinds))
            self.faults[name] += 1
            kinds[name]()
            time.sleep(_SETTLE_SECONDS + self.dice.uniform(0, seconds))
            self.restart_agents()

    def restart_agents(self) -> None:
        """Restart agents that ended by themselves, as a service manager does."""
        for agent in self.fleet.agents:
            if not agent.lives:
                self.restarts += 1
                agent.start()

    def _kinds(self) -> dict[str, Callable[[], None]]:
        return {
            "agent killed": lambda: self._kill_agent(alone=True),
            "shipper killed": self._kill_shipper,
            "agent paused": self._pause_agent,
            "stream's leader killed": self._kill_leader,
            "writer killed": self._kill_writer,
            "agent ended": self._end_agent,
            "agent and shipper killed": lambda: all_at_once(
                lambda: self._kill_agent(alone=False), self._kill_shipper
            ),
            "agent and leader killed": lambda: all_at_once(
                lambda: self._kill_agent(alone=False), self._kill_leader
            ),
        }

    def _busy_agents(self) -> list[Process]:
        """Give the agents that deliver, once any do: they have something to take over."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while time.monotonic() < deadline:
            busy = [agent for agent in self.fleet.agents if self._delivers(agent)]
            if busy:
                return busy
            time.sleep(_LOOK_SECONDS)
        return self.fleet.agents

    def _delivers(self, agent: Process) -> bool:
        notes = self.fleet.notes / str(agent.pid)
        if not (agent.lives and notes.exists()):
            return False
        told = notes.stat()
        return told.st_size > 0 and time.time() - told.st_mtime < 1

    def _kill_agent(self, *, alone: bool) -> None:
        self.restart_agents()
        agent = self.dice.choice(self._busy_agents())
        self._note(KILLED, agent, alone=alone)
        agent.kill()
        time.sleep(_AWAY_SECONDS)
        agent.start()

    def _pause_agent(self) -> None:
        agent, begun = self.dice.choice(self._busy_agents()), time.monotonic()
        agent.send(signal.SIGSTOP)
        time.sleep(_AWAY_SECONDS + self.dice.uniform(0, 2))
        self.incidents.append(Incident(PAUSED, agent.pid, begun, time.monotonic()))
        agent.send(signal.SIGCONT)

    def _end_agent(self) -> None:
        agent = self.dice.choice(self._busy_agents())
        self._note(ENDED, agent)
        agent.end()
        agent.start()

    def _note(self, kind: str, agent: Process, *, alone: bool = True) -> None:
        now = time.monotonic()
        self.incidents.append(Incident(kind, agent.pid, now, now, alone))

    def _kill_shipper(self) -> None:
        """Kill the one that ships; the other takes over, and is first from then on."""
        shippers = self.fleet.shippers
        shipper = shippers.pop(0)
        shipper.kill()
        shippers.append(shipper)
        shipper.start()

    def _kill_writer(self) -> None:
        living: list[Writer] = [writer for writer in self.fleet.writers if writer.lives]
        if living:
            writer = self.dice.choice(living)
            writer.kill()
            writer.start()

    def _kill_leader(self) -> None:
        """Another server leads after an election, which takes up to nine seconds (the server's
        raft.go, ``maxElectionTimeoutDefault``).
        """
        leader, begun = leader_of(self.fleet.config, self.fleet.servers), time.monotonic()
        leader.kill()
        time.sleep(self.dice.uniform(1, _AWAY_SECONDS))
        leader.start()
        leader_of(self.fleet.config, self.fleet.servers)
        time.sleep(max(0.0, begun + _ELECTION_SECONDS - time.monotonic()))
