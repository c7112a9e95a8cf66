"""The partitions that the readers of an agent have: what pulls their messages, what counts them.

All of it is done in the loop, but for the entries that a reader saves: those pass by here.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

from attrs import define, field

from hypervisor_nats.following.backlog import Backlog
from hypervisor_nats.following.claiming import Claiming
from hypervisor_nats.following.digests import Digests
from hypervisor_nats.following.entries import Entry
from hypervisor_nats.following.keeping import Kept, found_entry
from hypervisor_nats.following.server import FencedError, Found, Server
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_nats.following.stream_facts import facts_of
from hypervisor_nats.following.term import Term
from hypervisor_nats.link import CLIENT_ERRORS
from hypervisor_observability.text.limited_log import LimitedLog


@define(eq=False)
class Tenures:
    """What an agent has.

    Attributes:
        server: What is asked.
        owner: Id of the agent.
        streams: Of the readers.
        terms: What it has, by reader and partition.
        backlogs: What waits, by partition.
        lost: How many partitions another agent has taken.
        claiming: Takes them.
    """

    server: Server
    owner: str
    streams: Mapping[str, PartitionStream]
    digests: Digests = field(factory=Digests, init=False)
    terms: "dict[tuple[str, int], Term]" = field(factory=dict, init=False)
    backlogs: dict[int, Backlog] = field(factory=dict, init=False)
    lost: int = field(default=0, init=False)
    claiming: Claiming = field(init=False)
    _strange_before: int = field(default=0, init=False)
    _tasks: "dict[object, asyncio.Task[None]]" = field(factory=dict, init=False)
    _releases: "dict[str, tuple[Kept, Entry]]" = field(factory=dict, init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self.claiming = Claiming(self.server, self.owner, self.digests, self._backlog_from)

    async def take(self, reader: str, partition: int, found: Found | None) -> bool:
        """Take a partition for a reader; tell whether it has it now.

        Args:
            reader: Name of the reader.
            partition: Which.
            found: What the bucket has of it.

        Raises:
            StreamUnavailableError: There is no stream at present.
            NatsError: No server answers.
        """
        stream = self.streams[reader]
        term = await self.claiming.claim(stream, partition, found)
        if term is None:
            return False
        term.pull.is_still_ours = lambda: self._is_still_ours(reader, term)
        self.terms[reader, partition] = term
        self._tasks[term] = asyncio.ensure_future(term.pull.run())
        stream.add(term)
        return True

    def has_in_hands(self, term: Term) -> bool:
        """Tell whether a reader has something of *term* that it has not settled."""
        return not self.streams[term.kept.reader].is_idle(term)

    def release(self, term: Term) -> None:
        """Give up a partition: its reader has nothing of it in its hands."""
        with self.streams[term.kept.reader].lock:
            entry = term.entry().owned_by(None)
        self._end(term)
        self._releases[term.kept.key] = (term.kept, entry)

    async def write_releases(self) -> None:
        """Write who has nothing any more.

        Raises:
            NatsError: No server answers: to be called again.
        """
        for key, (kept, entry) in list(self._releases.items()):
            with contextlib.suppress(FencedError):
                await kept.save(entry, None)
            self._releases.pop(key, None)

    async def _is_still_ours(self, reader: str, term: Term) -> bool:
        """Ask who owns a partition; it is lost if another agent does, or the stream is another."""
        if self.terms.get((reader, term.partition)) is not term:
            return False
        if (await facts_of(self.server)).created != term.kept.entry.stream:
            self.forget_all()
            return False
        for one in await self.server.last_of(term.kept.key):
            with contextlib.suppress(ValueError):
                entry = found_entry(one)
                if entry is not None and entry.owner not in (None, self.owner):
                    self.lose(term)
                    return False
        return True

    # What is kept

    async def confirm(self, *, is_anew: bool) -> None:
        """Make sure that nobody has taken anything meanwhile.

        Args:
            is_anew: Whether the bucket was recreated: what was saved there is gone.

        Raises:
            NatsError: No server answers.
        """
        for term in list(self.terms.values()):
            await self._try_to_save(term, saves_runs=is_anew)

    async def save_what_moved(self) -> None:
        """Save places that no reader saves: nothing was delivered there, or a save has failed.

        Raises:
            NatsError: No server answers.
        """
        for term in list(self.terms.values()):
            if term.is_dirty and not term.is_saving:
                await self._try_to_save(term)

    async def _try_to_save(self, term: Term, *, saves_runs: bool = False) -> None:
        stream = self.streams[term.kept.reader]
        with stream.lock:
            entry, snapshot = term.entry(), None
            if saves_runs:  # its reader's state comes with what it saves next
                snapshot, term.snapshot_due = stream.snapshot_of(term, None), 0.0
        try:
            await self.save(term, entry, None if snapshot is None else snapshot.to_bytes())
        except FencedError:
            self.lose(term)

    async def save(self, term: Term, entry: Entry, snapshot: bytes | None) -> None:
        """Save how far a term is, then acknowledge it.

        Raises:
            FencedError: Another agent has the partition.
            NatsError: It is not known whether it was saved.
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
            self.lost += 1
            self._limited_log.warning(
                f"lost {term.kept.key}", "partition %d of %s is another agent's now",
                term.partition, term.kept.reader,
            )  # fmt: skip
            self._end(term)

    def remember_all(self) -> None:
        """Give up everything: no server was there for too long. What is known is remembered."""
        for term in list(self.terms.values()):
            with self.streams[term.kept.reader].lock:
                entry = term.entry()
            self.claiming.remembered[term.kept.key] = (term.kept.revision, entry)
            self._end(term)

    def forget_all(self) -> None:
        """Give up everything: the numbers are those of a stream that no longer exists."""
        self._limited_log.warning(
            "anew", "%s was recreated, or restored to an earlier state", self.server.link.place
        )
        self.digests.clear()
        for term in list(self.terms.values()):
            self._end(term)

    def _end(self, term: Term) -> None:
        reader, term.kept.is_given_up = term.kept.reader, True
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

    # What waits

    def _backlog_from(self, partition: int, start: int) -> Backlog:
        backlog = self.backlogs.get(partition)
        if backlog is None or backlog.start > start:
            if backlog is not None:
                self._cancel(backlog)
            backlog = self.backlogs[partition] = Backlog(self.server, partition, start)
            backlog.pull.is_still_ours = partial(self._is_counted, backlog)
            self._tasks[backlog] = asyncio.ensure_future(backlog.pull.run())
        return backlog

    async def _is_counted(self, backlog: Backlog) -> bool:
        """Tell whether it is the one that counts its partition: a cancellation may be swallowed."""
        return self.backlogs.get(backlog.partition) is backlog

    def behind(self, term: Term) -> int:
        """Give how many events are in messages that the reader of *term* has not taken."""
        backlog = self.backlogs.get(term.partition)
        return 0 if backlog is None else backlog.after(term.read_up_to)

    def trim(self) -> None:
        """Forget the messages that every reader has."""
        for partition, backlog in self.backlogs.items():
            reached = [
                term.read_up_to for (_, number), term in self.terms.items() if number == partition
            ]
            if reached and backlog.start <= min(reached):
                backlog.trim(min(reached))

    async def counts_all(self, partitions: Sequence[int], seconds: float) -> bool:
        """Wait until all is counted that waits in *partitions* now, for *seconds* at most.

        Returns:
            Whether it is.

        Raises:
            NatsError: No server answers.
        """
        backlogs = [self.backlogs[one] for one in set(partitions) if one in self.backlogs]
        return all(await asyncio.gather(*(one.counts_all(seconds) for one in backlogs)))

    async def end(self) -> None:
        """Give everything up: another agent may have it at once."""
        for term in list(self.terms.values()):
            self.release(term)
        await self.write_releases()
        for task in self._tasks.values():
            task.cancel()

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
        """How many messages were not from a shipper."""
        return self._strange_before + sum(term.strange for term in list(self.terms.values()))
