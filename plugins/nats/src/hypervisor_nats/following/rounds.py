"""What an agent does again and again, in the loop: it says that it lives, looks who else does,
takes what falls to it, and gives up what falls to another.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from hypervisor_nats.following.backlog import Backlog
from hypervisor_nats.following.claiming import Claiming
from hypervisor_nats.following.digests import Digests
from hypervisor_nats.following.entries import Entry, Snapshot
from hypervisor_nats.following.keeping import Kept, entry_key, found_entry
from hypervisor_nats.following.membership import KEY, Membership, now, owner_of
from hypervisor_nats.following.server import FencedError, Found, Server
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_nats.following.stream_facts import StreamFacts, facts_of
from hypervisor_nats.following.term import Term
from hypervisor_nats.link import CLIENT_ERRORS
from hypervisor_observability.errors import StreamUnavailableError
from hypervisor_observability.text.limited_log import LimitedLog

GRACE_SECONDS = 10.0
"""For so long an agent whose lease has ended has what it had, unless another one takes it: servers
may be choosing a leader meanwhile. It reads nothing."""
_LEAVE_SECONDS = 10.0
"""Longest time for which an agent that gives a partition up waits for what its readers have."""
_FACTS_SECONDS = 2.0
_TROUBLE = (*CLIENT_ERRORS, StreamUnavailableError, LookupError)


@define(eq=False)
class Rounds:
    """The rounds of an agent.

    Attributes:
        server: What is asked.
        membership: Who lives.
        streams: Of the readers.
        terms: What the agent has, or is about to give up.
        backlogs: What waits, by partition.
        wanted: Which partitions fall to the agent and are not its own yet, by reader.
        trouble: What keeps it from having its partitions, for people; None: nothing.
        claiming: Takes them.
    """

    server: Server
    membership: Membership
    streams: Mapping[str, PartitionStream]
    digests: Digests = field(factory=Digests)
    terms: "dict[tuple[str, int], Term]" = field(factory=dict, init=False)
    backlogs: dict[int, Backlog] = field(factory=dict, init=False)
    wanted: dict[str, set[int]] = field(factory=dict, init=False)
    trouble: str | None = field(default=None, init=False)
    has_looked: bool = field(default=False, init=False)
    """Whether a round was made as a whole."""
    fenced: int = field(default=0, init=False)
    live: list[str] = field(factory=list, init=False)
    claiming: Claiming = field(init=False)
    _strange_before: int = field(default=0, init=False)
    _facts: StreamFacts | None = field(default=None, init=False)
    _facts_due: float = field(default=0.0, init=False)
    _sign_due: float = field(default=0.0, init=False)
    _wake: asyncio.Event = field(factory=asyncio.Event, init=False)
    _tasks: "dict[object, asyncio.Task[None]]" = field(factory=dict, init=False)
    _releases: "dict[str, tuple[Kept, Entry]]" = field(factory=dict, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self.claiming = Claiming(self.server, self.membership.id, self.digests, self._backlog_from)

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self._round()
                self.has_looked, self.trouble = True, None
            except _TROUBLE as error:
                self.trouble = str(error) or type(error).__name__
                self._limited_log.warning("round", "%s: %s", self.server.link.place, self.trouble)
            except Exception as error:  # noqa: BLE001 - a mistake of our own ends no agent
                self.trouble = f"{type(error).__name__}: {error}"
                self._limited_log.warning("mistake", "a mistake: %s", self.trouble, error=error)
            if not self.is_within_grace:
                self._lose_all()
            await self._pause()

    @property
    def is_within_grace(self) -> bool:
        """Whether the agent may have what it had."""
        return now() < self.membership.until + GRACE_SECONDS

    async def _pause(self) -> None:
        lease = self.membership.lease_seconds
        ends = self.membership.next_end() - now() + 0.01
        seconds = max(0.01, min(lease / 8, ends))
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _round(self) -> None:
        if now() >= self._sign_due:
            await self._give_sign()
        facts = await self._look_at_stream()
        self.membership.look(await self.server.last_of(f"{KEY}*"))
        for name in self.membership.dead():
            await self.server.remove(f"{KEY}{name}")
        self.live = self.membership.live()
        await self._give_up_what_is_anothers()
        await self._claim_wanted(facts)
        await self._save_what_moved()
        self._trim()

    async def _give_sign(self) -> None:
        member, at = self.membership, now()
        is_first = not member.begun
        lapsed = member.note_sign(at, await self.server.put(member.key, member.value()))
        if is_first:  # with its place among the others, which the server has just given
            member.note_sign(at, await self.server.put(member.key, member.value()))
        self._sign_due = at + member.lease_seconds / 4
        if lapsed:
            await self._confirm(list(self.terms.values()))

    async def _confirm(self, terms: "list[Term]") -> None:
        """Make sure that nobody has taken *terms* meanwhile."""
        for term in terms:
            await self._save(term, term.entry(), None)

    async def _look_at_stream(self) -> StreamFacts:
        if self._facts is not None and now() < self._facts_due:
            return self._facts
        facts = await facts_of(self.server)
        before, self._facts, self._facts_due = self._facts, facts, now() + _FACTS_SECONDS
        if before is not None and facts.created != before.created:
            self._limited_log.warning("anew", "the stream %s was made anew", self.server.link.place)
            self.digests.clear()
            for term in list(self.terms.values()):
                self._end(term)
        if before is not None and facts.partitions != before.partitions:
            self._limited_log.warning(
                "partitions", "the stream %s has %d partitions now, and had %d: events of a run"
                " that is recorded now may be read out of order",
                self.server.link.place, facts.partitions, before.partitions,
            )  # fmt: skip
        for term in self.terms.values():
            term.is_cut = term.is_cut or facts.first > max(term.reached, term.begins.sequence) + 1
        return facts

    # Whose is what

    def _is_mine(self, partition: int) -> bool:
        return owner_of(partition, self.live) == self.membership.id

    async def _give_up_what_is_anothers(self) -> None:
        for (reader, partition), term in list(self.terms.items()):
            if self._is_mine(partition):
                term.leaves_at = None
                continue
            if term.leaves_at is None:
                term.leaves_at = now() + _LEAVE_SECONDS
            if self.streams[reader].is_idle(term) or now() >= term.leaves_at:
                self._release(reader, term)
        for key, (kept, entry) in list(self._releases.items()):
            with contextlib.suppress(FencedError):
                await kept.save(entry, None)
            del self._releases[key]

    def _release(self, reader: str, term: Term) -> None:
        with self.streams[reader].lock:
            entry = term.entry().owned_by(None)
        self._end(term)
        self._releases[term.kept.key] = (term.kept, entry)

    async def _claim_wanted(self, facts: StreamFacts) -> None:
        mine = [number for number in range(facts.partitions) if self._is_mine(number)]
        wanted = {
            reader: {number for number in mine if (reader, number) not in self.terms}
            for reader in self.streams
        }
        keys = [entry_key(reader, number) for reader in wanted for number in wanted[reader]]
        if keys:
            found = {one.key: one for one in await self.server.last_of(*keys)}
            await asyncio.gather(
                *(
                    self._claim(reader, number, found.get(entry_key(reader, number)), wanted)
                    for reader in self.streams
                    for number in list(wanted[reader])
                )
            )
        self.wanted = wanted

    async def _claim(
        self, reader: str, partition: int, found: Found | None, wanted: Mapping[str, set[int]]
    ) -> None:
        if found is not None and self._is_anothers(found):
            return
        stream = self.streams[reader]
        term = await self.claiming.claim(stream, partition, found)
        if term is None:
            return
        term.pull.is_still_ours = lambda: self._is_still_ours(reader, term)
        self.terms[reader, partition] = term
        self._tasks[term] = asyncio.ensure_future(term.pull.run())
        stream.add(term)
        wanted[reader].discard(partition)

    def _is_anothers(self, found: Found) -> bool:
        """Whether an agent that lives has it: it gives it up when it sees this one."""
        with contextlib.suppress(ValueError):
            entry = found_entry(found)
            owner = None if entry is None else entry.owner
            return owner in self.live and owner != self.membership.id
        return False

    async def _is_still_ours(self, reader: str, term: Term) -> bool:
        """Ask the bucket who has a partition; what another one has taken is lost."""
        if self.terms.get((reader, term.partition)) is not term:
            return False
        for one in await self.server.last_of(term.kept.key):
            with contextlib.suppress(ValueError):
                entry = found_entry(one)
                if entry is not None and entry.owner not in (None, self.membership.id):
                    self.lose(term)
                    return False
        return True

    # What is kept

    async def _save_what_moved(self) -> None:
        """Save places that no reader saves: nothing was delivered there, or a save has failed."""
        for (reader, _), term in list(self.terms.items()):
            if term.is_dirty and not term.is_saving:
                with self.streams[reader].lock:
                    entry = term.entry()
                await self._save(term, entry, None)

    async def _save(self, term: Term, entry: Entry, snapshot: Snapshot | None) -> None:
        try:
            await self.save(term, entry, snapshot)
        except FencedError:
            self.lose(term)

    async def save(self, term: Term, entry: Entry, snapshot: Snapshot | None) -> None:
        """Save how far a term is, then acknowledge it.

        Raises:
            FencedError: Another agent has the partition.
            NatsError: It is not known whether it was saved.
            ValueError: The snapshot is not plain.
            TypeError: Likewise.
        """
        reply = term.reply
        await term.kept.save(entry, snapshot)
        if term.place == entry.place:
            term.is_dirty = False
            if reply is not None:
                with contextlib.suppress(*CLIENT_ERRORS):
                    await (await self.server.client()).publish(reply, b"+ACK")

    def lose(self, term: Term) -> None:
        """Note that another agent has the partition of *term*."""
        if self.terms.get((term.kept.reader, term.partition)) is term:
            self.fenced += 1
            self._limited_log.warning(
                f"lost {term.kept.key}", "partition %d of %s is another agent's now",
                term.partition, term.kept.reader,
            )  # fmt: skip
            self._end(term)

    def _lose_all(self) -> None:
        """Give up everything: no server was there for too long. What is known is remembered."""
        for (reader, _), term in list(self.terms.items()):
            with self.streams[reader].lock:
                entry = term.entry()
            self.claiming.remembered[term.kept.key] = (term.kept.revision, entry)
            self._end(term)

    def _end(self, term: Term) -> None:
        reader = term.kept.reader
        self._strange_before += term.strange
        del self.terms[reader, term.partition]
        self.streams[reader].drop(term)
        self._cancel(term)
        if not any(partition == term.partition for _, partition in self.terms):
            backlog = self.backlogs.pop(term.partition, None)
            if backlog is not None:
                self._cancel(backlog)

    def _cancel(self, key: object) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    def _backlog_from(self, partition: int, start: int) -> Backlog:
        backlog = self.backlogs.get(partition)
        if backlog is None or backlog.start > start:
            if backlog is not None:
                self._cancel(backlog)
            backlog = self.backlogs[partition] = Backlog(self.server, partition, start)
            self._tasks[backlog] = asyncio.ensure_future(backlog.pull.run())
        return backlog

    def _trim(self) -> None:
        for partition, backlog in self.backlogs.items():
            reached = [
                max(term.reached, term.begins.sequence)
                for (_, number), term in self.terms.items()
                if number == partition
            ]
            if reached and backlog.start <= min(reached):
                backlog.trim(min(reached))

    async def count(self, partitions: Sequence[int], seconds: float) -> None:
        """Wait until all is counted that waits in *partitions* now, for *seconds* at most.

        Raises:
            NatsError: No server answers.
        """
        backlogs = [self.backlogs[one] for one in set(partitions) if one in self.backlogs]
        await asyncio.gather(*(backlog.counts_all(seconds) for backlog in backlogs))

    async def end(self) -> None:
        """Give everything up: another agent may have it at once."""
        for (reader, _), term in list(self.terms.items()):
            self._release(reader, term)
        for kept, entry in self._releases.values():
            with contextlib.suppress(FencedError):
                await kept.save(entry, None)
        await self.server.remove(self.membership.key)

    async def begin_again(self, term: Term) -> None:
        """Have *term* begin at its state again."""
        self._cancel(term)
        await asyncio.sleep(0)
        term.rewind()
        term.pull.next = term.since.sequence + 1
        term.pull.consumer = None
        self._tasks[term] = asyncio.ensure_future(term.pull.run())

    @property
    def strange(self) -> int:
        """How many messages were none of ours."""
        return self._strange_before + sum(term.strange for term in list(self.terms.values()))

    def status(self) -> dict[str, Any]:
        """Tell of it, in plain data."""
        return {
            "replica": self.membership.id,
            "replicas": len(self.live),
            "partitions": json.dumps(sorted({number for _, number in self.terms})),
            "trouble": self.trouble,
        }
