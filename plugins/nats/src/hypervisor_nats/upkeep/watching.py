"""Looks at a fleet from outside: its agents, how far each reader is, and which services ship.

Ages come from the servers' clocks alone: those of agents and of this machine may be wrong.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.following.entries import Entry
from hypervisor_nats.following.membership import KEY, Sign
from hypervisor_nats.following.server import Found, Server
from hypervisor_nats.messages import Head, StrangeMessageError
from hypervisor_nats.names import subjects_of_partition, text_of
from hypervisor_nats.requests import Heads, Stored, stored
from hypervisor_nats.server_times import seconds_between

MOST_RUNS = 10_000
"""Runs that are looked at one by one."""
_GRACE_SECONDS = 1.0
"""How long after the end of its lease an agent counts as dead: servers' clocks differ a little."""
_AT_ONCE = 16
_POSITIONS = "at."


@frozen
class Agent:
    """An agent of the fleet.

    Attributes:
        id: Its id.
        host: Its host, as it says.
        pid: Its process there, as it says.
        lives: Whether it has given a sign of life within its lease.
        silent_seconds: Since its last one.
        partitions: How many it has, of all readers.
    """

    id: str
    host: str
    pid: int
    lives: bool
    silent_seconds: float
    partitions: int = 0


@frozen(kw_only=True)
class Part:
    """How far a reader is in a partition.

    Attributes:
        plugin: The reader.
        partition: The partition.
        owner: Id of the agent that has it; None: no agent has.
        lives: Whether that agent lives.
        sequence: Number in the stream of the last message that is settled.
        lag_messages: Messages of the partition behind it.
        lag_seconds: For how long the first of them has been in the stream.
        expired: Events that were gone before they were read, in all.
        unverified: Events that were passed over because their chain does not prove them, in all.
        is_cut: Whether messages are gone that it has not read, and were not counted yet.
    """

    plugin: str
    partition: int
    owner: str | None
    lives: bool
    sequence: int
    lag_messages: int
    lag_seconds: float
    expired: int
    unverified: int
    is_cut: bool


@define
class Service:
    """What came of a service.

    Attributes:
        service: Its name.
        runs: Its runs that the stream knows.
        living: Those that have not ended.
        silent_seconds: Since its newest message came.
    """

    service: str
    runs: int = 0
    living: int = 0
    silent_seconds: float = float("inf")


@frozen(kw_only=True)
class Fleet:
    """A fleet at a moment.

    Attributes:
        stream: What its server says of the stream.
        partitions: How many it has.
        agents: The agents, also those that died recently.
        parts: Readers and partitions.
        services: The services that ship; None: there are too many runs to look at each.
        now: The moment, on the server's clock.
    """

    stream: Mapping[str, Any]
    partitions: int
    agents: Sequence[Agent] = field(factory=tuple)
    parts: Sequence[Part] = field(factory=tuple)
    services: Sequence[Service] | None = field(factory=tuple)
    now: str = ""


async def look(server: Server, info: Mapping[str, Any], partitions: int) -> Fleet:
    """Look at a fleet.

    Args:
        server: What is asked.
        info: What the server says of the stream, just now.
        partitions: How many it has.

    Raises:
        NatsError: No server answers, or there is no bucket.
    """
    now, config = str(info["ts"]), server.link.config
    found = await server.last_of(f"{KEY}*", *await server.keys(f"{_POSITIONS}>"))
    agents = {one.id: one for one in _agents(found, now, config)}
    entries = dict(_entries(found, str(info["created"])))
    limit = asyncio.Semaphore(_AT_ONCE)

    async def part_of(plugin: str, partition: int) -> Part:
        entry = entries.get((plugin, partition)) or Entry(owner=None, stream="")
        filter_ = subjects_of_partition(config.subject, partition)
        async with limit:
            count, since = await _behind(server, filter_, entry.place.sequence)
        agent = agents.get(entry.owner or "")
        return Part(
            plugin=plugin, partition=partition, owner=entry.owner,
            lives=agent is not None and agent.lives, sequence=entry.place.sequence,
            lag_messages=count, lag_seconds=0.0 if since is None else seconds_between(since, now),
            expired=entry.expired, unverified=entry.unverified,
            is_cut=entry.place.sequence + 1 < int(info["state"]["first_seq"]),
        )  # fmt: skip

    plugins = sorted({plugin for plugin, _ in entries})
    parts = await asyncio.gather(
        *(part_of(plugin, number) for plugin in plugins for number in range(partitions))
    )
    owned = [part.owner for part in parts]
    return Fleet(
        stream=info,
        partitions=partitions,
        agents=[
            Agent(one.id, one.host, one.pid, one.lives, one.silent_seconds, owned.count(one.id))
            for one in agents.values()
        ],
        parts=parts,
        services=await _services(server, info, now),
        now=now,
    )


def _agents(found: Sequence[Found], now: str, config: NatsConfig) -> Iterator[Agent]:
    for one in found:
        if not one.key.startswith(KEY) or one.data is None:
            continue
        sign, silent = Sign.from_bytes(one.data), seconds_between(one.time, now)
        lives = silent <= (sign.lease_seconds or config.lease_seconds) + _GRACE_SECONDS
        yield Agent(one.key.removeprefix(KEY), sign.host, sign.pid, lives, silent)


def _entries(found: Sequence[Found], created: str) -> Iterator[tuple[tuple[str, int], Entry]]:
    """Give the positions by reader and partition; those in an earlier stream mean nothing."""
    for one in found:
        _, _, name = one.key.partition(_POSITIONS)
        token, _, number = name.rpartition(".")
        if not one.key.startswith(_POSITIONS) or one.data is None or not number.isdecimal():
            continue
        try:
            entry = Entry.from_bytes(one.data)
        except ValueError:
            entry = Entry(owner=None, stream=created)  # its next owner begins again
        if entry.stream != created:
            entry = Entry(owner=entry.owner, stream=created)
        yield (text_of(token), int(number)), entry


async def _behind(server: Server, filter_: str, sequence: int) -> tuple[int, str | None]:
    """Count the messages behind *sequence*, and say since when the first of them is there.

    By a batch of one message (NATS, ADR-31), which says how many follow.
    """
    asked = {"seq": sequence + 1, "next_by_subj": filter_, "batch": 1}
    async with asyncio.timeout(server.timeout):
        found = await stored(server.client, server.link.config.stream, asked)
    return (1 + found[0].pending, found[0].time) if found else (0, None)


async def _services(server: Server, info: Mapping[str, Any], now: str) -> Sequence[Service] | None:
    """Tell of the services by the head of the newest message of each run."""
    if int(info["state"].get("num_subjects", 0)) > MOST_RUNS:
        return None
    config = server.link.config
    found: dict[str, Service] = {}
    for message in await _newest_heads(server):
        token = message.subject.removeprefix(f"{config.subject}.").partition(".")[0]
        name = text_of(token)
        service = found.setdefault(name, Service(name))
        service.runs += 1
        try:
            service.living += not Head.from_headers(message.headers).ended
        except StrangeMessageError:
            service.living += 1
        silent = seconds_between(message.time, now)
        service.silent_seconds = min(service.silent_seconds, silent)
    return sorted(found.values(), key=lambda one: one.service)


async def _newest_heads(server: Server) -> Collection[Stored]:
    config = server.link.config
    heads = Heads(server.client, config.stream, f"{config.subject}.>", None)
    found: dict[str, Stored] = {}
    try:
        while not heads.done:
            async with asyncio.timeout(server.timeout):
                found.update({message.subject: message for message in await heads.more()})
    finally:
        await heads.close()
    return found.values()
