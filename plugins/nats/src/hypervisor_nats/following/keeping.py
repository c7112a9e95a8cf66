"""Entries and snapshots in the bucket: claimed, saved, given up, by compare-and-set alone."""

import asyncio
import contextlib
from uuid import uuid4

from attrs import define, evolve, field

from hypervisor_nats.following.entries import (
    Entry,
    Place,
    Snapshot,
    SnapshotAt,
    from_inline,
    inline_of,
    pieces_of,
)
from hypervisor_nats.following.server import FencedError, Found, Server
from hypervisor_nats.link import CLIENT_ERRORS
from hypervisor_nats.names import token_of


@define(eq=False)
class Kept:
    """The entry of a reader for a partition, as this agent has it.

    Attributes:
        server: What is asked.
        reader: Name of the reader.
        partition: The partition.
        owner: Id of this agent.
        entry: The entry in the bucket.
        revision: Its revision; 0: there is no entry.
        is_given_up: Whether this agent has no part in it any more: it writes no place then.
    """

    server: Server
    reader: str
    partition: int
    owner: str
    entry: Entry
    revision: int
    is_given_up: bool = field(default=False, init=False)
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @property
    def key(self) -> str:
        """Of the entry."""
        return entry_key(self.reader, self.partition)

    async def write(self, entry: Entry) -> None:
        """Write *entry* in place of the one that is there.

        Raises:
            FencedError: Another agent has written it.
            NatsError: It is not known whether it was written: to be tried again.
        """
        async with self._lock:
            await self._write(entry)

    async def _write(self, entry: Entry) -> None:
        if self.is_given_up and entry.owner is not None:
            raise FencedError(self.key)
        try:
            self.revision = await self.server.put(self.key, entry.to_bytes(), self.revision)
        except FencedError:
            # An answer that did not come leaves a revision that is not known, and a recreated
            # bucket has none: the owner in the entry decides.
            found = await self.server.last_of(self.key)
            if any(one.data is not None and not self._is_own(one.data) for one in found):
                raise
            last = max((one.revision for one in found), default=0)
            self.revision = await self.server.put(self.key, entry.to_bytes(), last)
        self.entry = entry

    def _is_own(self, data: bytes) -> bool:
        with contextlib.suppress(ValueError):
            return Entry.from_bytes(data).owner == self.owner
        return False

    async def save(self, entry: Entry, snapshot: bytes | None) -> None:
        """Write *entry*, with *snapshot* of its place; None: with the one that it had.

        Args:
            entry: The entry.
            snapshot: As ``Snapshot.to_bytes`` writes it: whoever calls encodes it, as a large one
                takes longer than the loop may be held up.

        Raises:
            FencedError: Another agent has written it.
            NatsError: It is not known whether it was written: try again.
        """
        if snapshot is None:
            async with self._lock:  # a write under way may name another snapshot
                # It may be of a moment before the one that was written last.
                newest = self.entry if entry.place < self.entry.place else entry
                await self._write(evolve(newest, owner=entry.owner, snapshot=self.entry.snapshot))
            return
        at = await self._put(entry.place, snapshot)
        try:
            async with self._lock:
                old = self.entry.snapshot
                await self._write(evolve(entry, snapshot=at))
        except FencedError:
            await self._remove(at)
            raise
        if old is not None:
            await self._remove(old)

    async def _put(self, place: Place, data: bytes) -> SnapshotAt:
        inline = inline_of(data)
        if inline is not None:
            return SnapshotAt(place, inline)
        blob = uuid4().hex[:12]
        pieces = pieces_of(data, (await self.server.client()).max_payload)
        for number, piece in enumerate(pieces):
            await self.server.put(f"{self._blobs}{blob}.{number}", piece)
        return SnapshotAt(place, None, blob, len(pieces))

    async def _remove(self, at: SnapshotAt) -> None:
        if at.blob is not None:
            with contextlib.suppress(*CLIENT_ERRORS):  # the next owner removes it
                await self.server.remove(f"{self._blobs}{at.blob}.>")

    async def snapshot(self) -> Snapshot:
        """Read the snapshot of the entry; nothing where there is none.

        Raises:
            ValueError: It is damaged.
            LookupError: A piece of it is not there.
            NatsError: No server answers.
        """
        at = self.entry.snapshot
        if at is None:
            return Snapshot()
        if at.blob is None:
            return Snapshot.from_bytes(from_inline(at.inline or ""))
        found = await self.server.last_of(f"{self._blobs}{at.blob}.>")
        pieces = {one.key.rpartition(".")[2]: one.data or b"" for one in found}
        if len(pieces) < at.parts:
            raise LookupError(f"{at.parts - len(pieces)} of {at.parts} pieces are not there")
        return Snapshot.from_bytes(b"".join(pieces[str(number)] for number in range(at.parts)))

    async def remove_garbage(self) -> None:
        """Remove pieces of snapshots that no entry names."""
        at = self.entry.snapshot
        kept = None if at is None else at.blob
        keys = await self.server.keys(f"{self._blobs}>")
        ids = {key.removeprefix(self._blobs).partition(".")[0] for key in keys}
        for blob in ids - {kept}:
            await self.server.remove(f"{self._blobs}{blob}.>")

    @property
    def _blobs(self) -> str:
        return f"blob.{token_of(self.reader)}.{self.partition}."


def entry_key(reader: str, partition: int) -> str:
    """Give the key of an entry."""
    return f"at.{token_of(reader)}.{partition}"


def consumer_name(reader: str, partition: int) -> str:
    """Give the name of the consumer of a reader for a partition."""
    # ``=`` is the one character of a token that names of consumers may not have everywhere.
    return f"hv-{token_of(reader)}-{partition}"


def found_entry(found: Found) -> Entry | None:
    """Read an entry; None where there is none.

    Raises:
        ValueError: It is damaged.
    """
    return None if found.data is None else Entry.from_bytes(found.data)
