"""The rounds of an agent, in the loop: it gives a sign of life, looks which other agents live,
claims the partitions assigned to it, and gives up those assigned to others.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from hypervisor_nats.following.keeping import entry_key, found_entry
from hypervisor_nats.following.membership import KEY, Membership, now, owner_of
from hypervisor_nats.following.server import Found, Server
from hypervisor_nats.following.stream_facts import StreamFacts, facts_of
from hypervisor_nats.following.tenures import Tenures
from hypervisor_nats.link import CLIENT_ERRORS, end_tasks
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.text.limited_log import LimitedLog

GRACE_SECONDS = 10.0
"""For so long an agent whose lease has ended has what it had, unless another one takes it: servers
may be choosing a leader meanwhile. It reads nothing."""
_LEAVE_SECONDS = 10.0
"""Longest time for which an agent that gives a partition up waits for what its readers have."""
_FACTS_SECONDS = 2.0
_END_SECONDS = 1.0
_TROUBLE = (*CLIENT_ERRORS, StreamUnavailableError)


@define(eq=False)
class Rounds:
    """The rounds of an agent.

    Attributes:
        server: What is asked.
        membership: Who lives.
        tenures: What the agent has.
        live: Ids of the agents that live, in their order.
        wanted: Which partitions fall to the agent and are not its own yet, by reader.
        has_looked: Whether a round was made as a whole.
    """

    server: Server
    membership: Membership
    tenures: Tenures
    live: list[str] = field(factory=list, init=False)
    wanted: dict[str, set[int]] = field(factory=dict, init=False)
    has_looked: bool = field(default=False, init=False)
    _running: "asyncio.Task[Any] | None" = field(default=None, init=False)
    _sharing: dict[str, list[str]] = field(factory=dict, init=False)
    """Who lives and takes partitions for a reader, by reader."""
    _facts: StreamFacts | None = field(default=None, init=False)
    _facts_due: float = field(default=0.0, init=False)
    _revision: int = field(default=0, init=False)
    """Of the last sign of life: if it falls, the bucket was recreated."""
    _sign_due: float = field(default=0.0, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    async def run(self) -> None:
        """Go round until cancelled."""
        self._running = asyncio.current_task()
        while True:
            began, trouble = time.monotonic(), self.server.trouble
            try:
                await self._round()
                self.has_looked = True
                trouble.end()
            except _TROUBLE as error:
                trouble.begin(error, since=began)
            except Exception as error:  # noqa: BLE001 - an error in this code must not end the agent
                trouble.text = f"{type(error).__name__}: {error}"
                self._limited_log.warning(
                    "mistake", "internal error: %s", trouble.text, error=error
                )
            if not self.is_within_grace:
                self.tenures.remember_all()
            await self._pause()

    @property
    def is_within_grace(self) -> bool:
        """Whether the agent may have what it had."""
        return now() < self.membership.until + GRACE_SECONDS

    async def _pause(self) -> None:
        lease = self.membership.lease_seconds
        # At the moment at which a lease may end, and often enough to see a sign of life early.
        ends = self.membership.next_end() - now() + 0.01
        await asyncio.sleep(max(0.01, min(lease / 8, ends)))

    async def _round(self) -> None:
        if now() >= self._sign_due:
            await self._give_sign()
        facts = await self._look_at_stream()
        self.membership.look(await self.server.last_of(f"{KEY}*"))
        for name in self.membership.dead():
            await self.server.remove(f"{KEY}{name}")
        self.live = self.membership.live()
        self._sharing = {name: self.membership.live(name) for name in self.tenures.streams}
        await self._give_up_what_is_anothers()
        await self._claim_wanted(facts)
        await self.tenures.save_what_moved()
        self.tenures.trim()

    async def _give_sign(self) -> None:
        await self.server.client()  # a lease runs from when its sign is sent, not requested
        member, at = self.membership, now()
        revision = await self.server.put(member.key, member.value())
        # Not when it was sent: it may have been under way while the lease ended.
        is_late = now() >= member.until
        is_anew = revision < self._revision
        if is_late or is_anew:
            # Others may have taken what it had. Nothing of that is read before it is known.
            await self.tenures.confirm(is_anew=is_anew)
        self._revision = revision
        member.note_sign(at, revision, is_late=is_late)
        if member.begun == revision:  # with its place among the others, which it has just got
            await self.server.put(member.key, member.value())
        self._sign_due = at + member.lease_seconds / 4

    async def _look_at_stream(self) -> StreamFacts:
        if self._facts is not None and now() < self._facts_due:
            return self._facts
        facts = await facts_of(self.server)
        before, self._facts, self._facts_due = self._facts, facts, now() + _FACTS_SECONDS
        if before is not None and not facts.goes_on_from(before, before.last):
            self.tenures.forget_all()
        if before is not None and facts.partitions != before.partitions:
            self._limited_log.warning(
                "partitions", "the stream %s has %d partitions now, and had %d: events of a run"
                " that is recorded now may be read out of order",
                self.server.link.place, facts.partitions, before.partitions,
            )  # fmt: skip
        for term in self.tenures.terms.values():
            term.is_cut = term.is_cut or facts.first > term.read_up_to + 1
        return facts

    def _is_mine(self, reader: str, partition: int) -> bool:
        # An agent without the plugin would leave its partitions unread.
        return owner_of(partition, self._sharing[reader]) == self.membership.id

    async def _give_up_what_is_anothers(self) -> None:
        for term in list(self.tenures.terms.values()):
            if self._is_mine(term.kept.reader, term.partition):
                term.leaves_at = None
                continue
            if term.leaves_at is None:
                term.leaves_at = now() + _LEAVE_SECONDS
            if not self.tenures.has_in_hands(term) or now() >= term.leaves_at:
                self.tenures.release(term)
        await self.tenures.write_releases()

    async def _claim_wanted(self, facts: StreamFacts) -> None:
        wanted = {
            reader: {
                number
                for number in range(facts.partitions)
                if self._is_mine(reader, number) and (reader, number) not in self.tenures.terms
            }
            for reader in self._sharing
        }
        # Before one is taken: a reader that has it must not be told that another has all it gets.
        self.wanted = wanted
        keys = [entry_key(reader, number) for reader in wanted for number in wanted[reader]]
        if keys:
            found = {one.key: one for one in await self.server.last_of(*keys)}
            claims = [
                self._claim(reader, number, found.get(entry_key(reader, number)), wanted)
                for reader in wanted
                for number in list(wanted[reader])
            ]
            # All of them end before the next round: none is claimed twice.
            failures = await asyncio.gather(*claims, return_exceptions=True)
            for failure in failures:
                if failure is not None:
                    raise failure

    async def _claim(
        self, reader: str, partition: int, found: Found | None, wanted: Mapping[str, set[int]]
    ) -> None:
        # One of an agent that lives is given up when that one sees this one.
        if found is not None and self._is_anothers(found):
            return
        if await self.tenures.take(reader, partition, found):
            wanted[reader].discard(partition)

    def _is_anothers(self, found: Found) -> bool:
        """Tell whether an agent that lives has it."""
        with contextlib.suppress(ValueError):
            entry = found_entry(found)
            owner = None if entry is None else entry.owner
            return owner in self.live and owner != self.membership.id
        return False

    async def end(self) -> None:
        """Give everything up: another agent may have it at once.

        Raises:
            NatsError: No server answers.
        """
        await end_tasks([self._running], _END_SECONDS)  # it would take partitions again
        await self.tenures.end()
        await self.server.remove(self.membership.key)

    def status(self) -> dict[str, Any]:
        """Tell of it, in plain data."""
        partitions = sorted({number for _, number in self.tenures.terms})
        return {
            "replica": self.membership.id,
            "replicas": len(self.live),
            "partitions": ", ".join(map(str, partitions)),
            "trouble": self.server.trouble.text,
        }
