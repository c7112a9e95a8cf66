"""Claims partitions for readers: free ones, those of dead agents, and those lost for a while."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from itertools import count

from attrs import define, evolve, field
from nats.aio.msg import Msg

from hypervisor_nats.following.backlog import Backlog
from hypervisor_nats.following.digests import Digests, Message
from hypervisor_nats.following.entries import (
    Entry,
    Place,
    Snapshot,
    SnapshotAt,
    inline_of,
)
from hypervisor_nats.following.keeping import Kept, consumer_name, found_entry
from hypervisor_nats.following.pull import GROUP, Pull
from hypervisor_nats.following.server import FencedError, Found, Server
from hypervisor_nats.following.shared_stream import PartitionStream
from hypervisor_nats.following.stream_facts import StreamFacts, facts_of
from hypervisor_nats.following.term import Term
from hypervisor_nats.messages import StrangeMessageError, head_of
from hypervisor_nats.names import subjects_of_partition
from hypervisor_observability.text.limited_log import LimitedLog

# Neither redelivers a message to its owner: the consumer is recreated for that.
_ACK_WAIT_SECONDS = 24 * 3_600
_MAX_ACK_PENDING = 2_000
_PINNED_SECONDS = 120
_COUNT_SECONDS = 2.0
_PIECES_SECONDS = 1.0
_AGAIN_SECONDS = 0.05

_logger = logging.getLogger(__name__)


@define(eq=False)
class Claiming:
    """Takes partitions for the readers of an agent.

    Attributes:
        server: What is asked.
        owner: Id of the agent.
        digests: What its readers know of messages.
        backlog_from: Gives what counts a partition, from a message on.
        remembered: What was known of a partition when it was lost for want of a server, by key:
            if no agent took it meanwhile, that holds.
        takeovers: How many were taken from agents that had died.
    """

    server: Server
    owner: str
    digests: Digests
    backlog_from: Callable[[int, int], Backlog]
    remembered: dict[str, tuple[int, Entry]] = field(factory=dict, init=False)
    takeovers: int = field(default=0, init=False)
    _numbers: "count[int]" = field(factory=lambda: count(1), init=False)
    _limited_log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    async def claim(
        self, stream: PartitionStream, partition: int, found: Found | None
    ) -> Term | None:
        """Take a partition; None where another agent was faster, or its backlog is not counted.

        Args:
            stream: Of the reader.
            partition: Which.
            found: What the bucket has of it.

        Raises:
            StreamUnavailableError: There is no stream at present.
            NatsError: No server answers.
        """
        facts = await facts_of(self.server)
        entry, before = self._entry(stream.name, partition, found, facts)
        kept = Kept(
            self.server, stream.name, partition, self.owner, entry,
            0 if found is None else found.revision,
        )  # fmt: skip
        try:
            await kept.write(entry.owned_by(self.owner))
        except FencedError:
            return None
        self.remembered.pop(kept.key, None)
        if before not in (None, self.owner):
            self.takeovers += 1
            _logger.info("partition %d of %s is taken over from %s", partition, stream.name, before)
        if not stream.defers:
            return await self._at_present(stream, kept)
        snapshot, since = await self._snapshot(kept)
        with contextlib.suppress(FencedError):
            await kept.remove_garbage()
        term = self._term(stream, kept, kept.entry.place, since, snapshot)
        term.is_cut = facts.first > term.begins.sequence + 1
        backlog = self.backlog_from(partition, term.begins.sequence + 1)
        backlog.know(term.numbers())
        return term

    async def _at_present(self, stream: PartitionStream, kept: Kept) -> Term | None:
        """Begin behind all that is there now; what is passed over is counted."""
        last = (await facts_of(self.server)).last
        backlog = self.backlog_from(kept.partition, kept.entry.place.sequence + 1)
        if not await backlog.counts_all(_COUNT_SECONDS):
            return None
        place = Place(last)
        term = self._term(stream, kept, place, place, Snapshot())
        term.not_told = backlog.after(kept.entry.place.sequence) - backlog.after(last)
        return term

    def _entry(
        self, reader: str, partition: int, found: Found | None, facts: StreamFacts
    ) -> tuple[Entry, str | None]:
        """Give the entry to continue from, and who owns the partition."""
        fresh = Entry(owner=None, stream=facts.created)
        entry: Entry | None = None
        if found is not None:
            try:
                entry = found_entry(found)
            except ValueError as error:
                self._tell(reader, partition, f"its entry is damaged: {error}; everything in it"
                           " is delivered again")  # fmt: skip
        before = None if entry is None else entry.owner
        key = "" if found is None else found.key
        own = self.remembered.get(key)
        if own is not None and (entry is None or (found is not None and found.revision == own[0])):
            entry = own[1]  # no agent wrote it meanwhile
        if entry is not None and entry.stream != facts.created:
            self._tell(reader, partition, "the stream was recreated: everything in it is delivered")
            entry = None
        entry = entry or fresh
        if entry.place.sequence > facts.last:
            self._tell(
                reader, partition, f"the stream ends at message {facts.last}, but was read up to"
                f" {entry.place.sequence}: it was restored to an earlier state, or its server lost"
                " messages; only messages from now on are delivered",
            )  # fmt: skip
            entry = evolve(entry, place=Place(facts.last), snapshot=None)
        if entry.snapshot is None:
            # Whoever is next reads from here what this one comes to know of the runs.
            nothing = SnapshotAt(entry.place, inline_of(Snapshot().to_bytes()))
            entry = evolve(entry, snapshot=nothing)
        return entry, before

    async def _snapshot(self, kept: Kept) -> tuple[Snapshot, Place]:
        at = kept.entry.snapshot
        try:
            return await self._read_snapshot(kept), kept.entry.place if at is None else at.place
        except (ValueError, LookupError) as error:
            self._tell(kept.reader, kept.partition, f"its snapshot is damaged: {error}; open"
                       " spans are lost")  # fmt: skip
            return Snapshot(), kept.entry.place

    async def _read_snapshot(self, kept: Kept) -> Snapshot:
        until = time.monotonic() + _PIECES_SECONDS
        while True:
            try:
                return await kept.snapshot()
            except LookupError:  # a server of the cluster may be a moment late
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    def _term(
        self, stream: PartitionStream, kept: Kept, begins: Place, since: Place, snapshot: Snapshot
    ) -> Term:
        partition, config = kept.partition, self.server.link.config
        tell = self._teller(stream.name, partition)
        try:
            term = Term(
                partition=partition, number=next(self._numbers), kept=kept, begins=begins,
                since=since, snapshot=snapshot, is_cut=False, digests=self.digests, tell=tell,
            )  # fmt: skip
        except ValueError as error:
            self._tell(stream.name, partition, f"its runs are damaged: {error}")
            return self._term(stream, kept, begins, begins, Snapshot(snapshot.state))

        def take(message: Msg, sequence: int) -> None:
            term.inbox.put(_read(message, sequence))

        term.pull = Pull(
            server=self.server,
            config={
                "durable_name": consumer_name(stream.name, partition),
                "filter_subject": subjects_of_partition(config.subject, partition),
                "ack_policy": "all",
                "ack_wait": int(_ACK_WAIT_SECONDS * 1e9),
                "max_ack_pending": _MAX_ACK_PENDING,
                "mem_storage": True,
                "priority_groups": [GROUP],
                "priority_policy": "pinned_client",
                "priority_timeout": int(_PINNED_SECONDS * 1e9),
            },
            name=consumer_name(stream.name, partition),
            next=since.sequence + 1,
            take=take,
            room=term.inbox.room,
        )
        return term

    def _teller(self, reader: str, partition: int) -> Callable[[str, str], None]:
        def tell(key: str, text: str) -> None:
            self._limited_log.warning(
                f"{reader} {partition} {key}", "plugin %s, partition %d: %s",
                reader, partition, text,
            )  # fmt: skip

        return tell

    def _tell(self, reader: str, partition: int, text: str) -> None:
        self._teller(reader, partition)("claim", text)


def _read(message: Msg, sequence: int) -> Message:
    head, strange = None, None
    try:
        head = head_of(message.subject, message.headers)
    except StrangeMessageError as error:
        strange = str(error)
    return Message(sequence, head, message.data, strange, message.reply)
