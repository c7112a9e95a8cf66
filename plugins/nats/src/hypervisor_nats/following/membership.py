"""Which agents are alive, and which partition falls to whom.

Each agent writes its key again and again. For another one it is dead when the key has not changed
for the lease written in it, on the clock of the other: clocks of two machines are never compared,
and agents may have different leases. An agent that could not write its own key for as long knows
nothing of the others either, and grants all of them a new lease.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from attrs import define, field, frozen

from hypervisor_nats.following.server import Found
from hypervisor_nats.server_times import seconds_between

KEY = "replica."
MOST_LEASE = 60.0
"""Longest lease that an agent may have, in seconds."""


def now() -> float:
    """Give the time in seconds on a clock that runs while the machine or the process sleeps;
    without one, on the monotonic clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@frozen
class Sign:
    """A sign of life.

    Attributes:
        host: Where the agent runs.
        pid: Its process.
        begun: Its place in the order of all agents; 0: it has none yet.
        lease_seconds: For how long it may be silent before it is dead.
        readers: For which readers it takes partitions; None: for all, as it does not say.
    """

    host: str = "?"
    pid: int = 0
    begun: int = 0
    lease_seconds: float | None = None
    readers: frozenset[str] | None = None

    def to_bytes(self) -> bytes:
        """Write it."""
        told = {
            "host": self.host, "pid": self.pid, "begun": self.begun,
            "lease": self.lease_seconds, "readers": sorted(self.readers or ()),
        }  # fmt: skip
        return json.dumps(told).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sign":
        """Read it; what cannot be read is as if it was not said."""
        told: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(data)
        if not isinstance(told, Mapping):
            return cls()
        readers = told.get("readers")
        return cls(
            str(told.get("host", "?")),
            _number(told.get("pid")),
            _number(told.get("begun")),
            _lease(told.get("lease")),
            frozenset(map(str, readers)) if isinstance(readers, list) else None,
        )


@define
class _Seen:
    revision: int
    sign: Sign
    lease_seconds: float
    until: float


@define(eq=False)
class Membership:
    """The agents, as one of them sees them.

    Attributes:
        lease_seconds: Time without a sign of life after which this agent is dead for others.
        readers: Names of those for which it takes partitions.
        id: Of this one.
        begun: Revision of its first sign of life: the order of all agents, which the server gives.
        until: The moment until which this one is alive for sure, on the clock of ``now``.
    """

    lease_seconds: float
    readers: Collection[str] = ()
    id: str = field(factory=lambda: uuid4().hex[:16])
    begun: int = field(default=0, init=False)
    until: float = field(default=-1.0, init=False)
    _others: dict[str, _Seen] = field(factory=dict, init=False)
    _due: float | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Under which this agent gives its signs of life."""
        return f"{KEY}{self.id}"

    @property
    def alive(self) -> bool:
        """Whether its lease still runs: no other agent takes it for dead."""
        return now() < self.until

    def value(self) -> bytes:
        """Give the value of the key."""
        return Sign(
            socket.gethostname(), os.getpid(), self.begun,
            self.lease_seconds, frozenset(self.readers),
        ).to_bytes()  # fmt: skip

    def note_sign(self, at: float, revision: int, *, is_late: bool) -> None:
        """Note a sign of life of this agent.

        Args:
            at: The moment before it was given.
            revision: What the server gave it.
            is_late: Whether the lease had ended before the server answered.
        """
        if is_late:  # it knows nothing of them either
            for seen in self._others.values():
                seen.until = at + seen.lease_seconds
        self.until = at + self.lease_seconds
        self.begun = self.begun or revision

    def look(self, found: Sequence[Found]) -> None:
        """Take what all agents have written last."""
        at, present = now(), set[str]()
        own = next((one.time for one in found if one.key == self.key), None)
        for one in found:
            name = one.key.removeprefix(KEY)
            if one.key == self.key or one.data is None:
                continue
            present.add(name)
            seen = self._others.get(name)
            if seen is not None and one.revision <= seen.revision:
                continue
            sign = Sign.from_bytes(one.data)
            lease = sign.lease_seconds or self.lease_seconds
            # Of one that was not known before the server tells for how long it has been silent.
            silent = _seconds_between(one.time, own) if seen is None else 0.0
            self._others[name] = _Seen(one.revision, sign, lease, at + max(0.0, lease - silent))
        for name in self._others.keys() - present:
            del self._others[name]

    def live(self, reader: str | None = None) -> list[str]:
        """Give the ids of those who live, in their order; this one among them.

        Args:
            reader: Those alone who take partitions for it; None: all.
        """
        at = now()
        ids = {
            name: (seen.sign.begun, name)
            for name, seen in self._others.items()
            if seen.sign.begun
            and at < seen.until
            and (reader is None or seen.sign.readers is None or reader in seen.sign.readers)
        }
        if self.begun:
            ids[self.id] = (self.begun, self.id)
        return sorted(ids, key=ids.__getitem__)

    def dead(self) -> list[str]:
        """Give the ids of agents that have been dead for so long that their keys can be removed."""
        at = now()
        return [
            name for name, seen in self._others.items() if at > seen.until + 30 * seen.lease_seconds
        ]

    def next_end(self) -> float:
        """Give the moment at which the next lease of another agent ends."""
        at = now()
        return min(
            (seen.until for seen in self._others.values() if seen.until > at), default=at + 60
        )


def owner_of(partition: int, live: Sequence[str]) -> str | None:
    """Give whom a partition falls to."""
    return live[partition % len(live)] if live else None


def _lease(value: Any) -> float | None:
    is_one = type(value) in (int, float) and 0 < value <= MOST_LEASE
    return float(value) if is_one else None


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _seconds_between(earlier: str, later: str | None) -> float:
    """Give the time between two moments of the server's clock; 0 where it cannot be told."""
    with contextlib.suppress(ValueError):
        if later is not None:
            return seconds_between(earlier, later)
    return 0.0
