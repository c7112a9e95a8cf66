"""Which agents are alive, and which partition falls to whom.

Each agent writes its key again and again. For another one it is dead when the key has not changed
for a lease, on the clock of the other: no clocks of two machines are compared. Who could not write
its own key for as long knows nothing of the others either, and gives all of them a lease again.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from uuid import uuid4

from attrs import define, field

from hypervisor_nats.following.server import Found
from hypervisor_nats.server_times import seconds_between

KEY = "replica."


def now() -> float:
    """Tell the time in seconds on a clock that goes on while the machine, or the process, sleeps;
    where there is none, on the monotonic one.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@define
class _Seen:
    revision: int
    begun: int
    until: float


@define(eq=False)
class Membership:
    """The agents, as one of them sees them.

    Attributes:
        lease_seconds: Time without a sign of life after which an agent is dead.
        id: Of this one.
        begun: Revision of its first sign of life: the order of all agents, which the server gives.
        until: The moment until which this one is alive for sure, on the clock of ``now``.
    """

    lease_seconds: float
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
        """Whether its lease goes on: no other agent takes it for dead."""
        return now() < self.until

    def value(self) -> bytes:
        """Give what stands under the key."""
        told = {"host": socket.gethostname(), "pid": os.getpid(), "begun": self.begun}
        return json.dumps(told).encode()

    def note_sign(self, at: float, revision: int) -> None:
        """Note a sign of life of this agent.

        Args:
            at: The moment before it was given.
            revision: What the server gave it.
        """
        if at >= self.until:  # it knows nothing of them either
            for seen in self._others.values():
                seen.until = at + self.lease_seconds
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
            if seen is None:
                lease = self.lease_seconds - _seconds_between(one.time, own)
                self._others[name] = _Seen(one.revision, _begun(one.data), at + max(0.0, lease))
            elif one.revision > seen.revision:
                seen.revision, seen.begun = one.revision, _begun(one.data)
                seen.until = at + self.lease_seconds
        for name in self._others.keys() - present:
            del self._others[name]

    def live(self) -> list[str]:
        """Give the ids of those who live, in their order; this one among them."""
        at = now()
        ids = {
            name: (seen.begun, name)
            for name, seen in self._others.items()
            if seen.begun and at < seen.until
        }
        if self.begun:
            ids[self.id] = (self.begun, self.id)
        return sorted(ids, key=ids.__getitem__)

    def dead(self) -> list[str]:
        """Give the ids of those who have been dead for so long that their keys are of no use."""
        at = now()
        return [
            name for name, seen in self._others.items() if at > seen.until + 30 * self.lease_seconds
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


def _begun(data: bytes) -> int:
    with contextlib.suppress(ValueError):
        told = json.loads(data)
        if isinstance(told, Mapping) and type(told.get("begun")) is int:
            return int(told["begun"])
    return 0


def _seconds_between(earlier: str, later: str | None) -> float:
    """Give the time between two moments of the server's clock; 0 where it cannot be told."""
    with contextlib.suppress(ValueError):
        if later is not None:
            return seconds_between(earlier, later)
    return 0.0
