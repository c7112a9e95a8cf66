"""The ring: the newest events, bounded by their number and their bytes."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from attrs import define, field

from hypervisor_observability.bus.event_memory import rough_bytes
from hypervisor_observability.stores import Entry
from hypervisor_web.feed.packing import Packed, entry_of, pack, unpack

_BLOCK_EVENTS = 256
_BLOCK_BYTES = 512 * 1024
_FRESH_BLOCKS = 2
"""So many full blocks stay as they are: what viewers look at most is not unpacked for them."""


@define(eq=False)
class _Block:
    """Entries that stand side by side.

    Attributes:
        first: Position of the first one.
        count: How many there are.
        held_bytes: Memory that they take, estimated until they are packed.
        entries: They themselves; None once they are packed. Only appended to.
        packed: What ``pack`` gave; empty until then.
    """

    first: int
    count: int = 0
    held_bytes: int = 0
    entries: list[Entry] | None = field(factory=list)
    packed: bytes = b""

    @property
    def next(self) -> int:
        return self.first + self.count

    def append(self, entry: Entry) -> int:
        """Add one; give the bytes that it takes."""
        assert self.entries is not None  # noqa: S101 - tells mypy: a packed block is not appended to
        size = rough_bytes(entry.event)
        self.entries.append(entry)
        self.count += 1
        self.held_bytes += size
        return size

    def pack(self) -> int:
        """Keep the entries in less memory; give the bytes that this takes more, or less."""
        if self.entries is None:
            return 0
        before, self.packed = self.held_bytes, pack(self.entries)
        self.held_bytes = len(self.packed)
        self.entries = None
        return self.held_bytes - before

    def read(self) -> Sequence[Entry | Packed]:
        """Give what there is, for ``_entry``."""
        # Another thread may be packing it.
        entries = self.entries
        return unpack(self.packed) if entries is None else entries


@define(eq=False)
class Ring:
    """The newest entries by their positions, which count from 0 and are never given twice.

    One thread at a time appends, under the lock of who owns the ring; any may read meanwhile.

    Attributes:
        max_events: How many are kept.
        max_bytes: Memory that they may take, at least one block of them aside.
        oldest: Position of the oldest one.
        next: The position that the next one gets.
        held_bytes: Memory that they take, as estimated.
    """

    max_events: int
    max_bytes: int
    oldest: int = field(default=0, init=False)
    next: int = field(default=0, init=False)
    held_bytes: int = field(default=0, init=False)
    # The oldest first. Replaced, never changed but at its end, so that readers need no lock.
    _blocks: list[_Block] = field(factory=lambda: [_Block(0)], init=False)

    def append(self, entry: Entry) -> int:
        """Add the newest one; give its position."""
        block = self._blocks[-1]
        if block.count >= _BLOCK_EVENTS or block.held_bytes >= _BLOCK_BYTES:
            block = self._begin_block()
        self.held_bytes += block.append(entry)
        position = self.next
        self.next = position + 1
        self.oldest = max(self.oldest, self.next - self.max_events)
        return position

    def read(self, first: int, last: int) -> Iterator[tuple[int, Entry]]:
        """Give the entries from position *first* to before *last* that are there still."""
        for block, start, stop in self._parts(first, last):
            read = block.read()
            for offset in range(start - block.first, min(stop - block.first, len(read))):
                yield block.first + offset, _entry(read[offset])

    def pick(self, positions: Sequence[int]) -> Iterator[tuple[int, Entry]]:
        """Give the entries at *positions*, which rise, that are there still."""
        if not positions:
            return
        at = 0
        for block, start, stop in self._parts(positions[0], positions[-1] + 1):
            read: Sequence[Entry | Packed] | None = None
            while at < len(positions) and positions[at] < stop:
                position = positions[at]
                at += 1
                if position >= start:
                    read = block.read() if read is None else read
                    yield position, _entry(read[position - block.first])

    def get(self, position: int) -> Entry | None:
        """Give the entry at *position*; None if it is not there."""
        return next((entry for _, entry in self.pick([position])), None)

    def _parts(self, first: int, last: int) -> Iterator[tuple[_Block, int, int]]:
        """Give blocks, with the positions in them that lie between *first* and *last*."""
        last, blocks = min(last, self.next), self._blocks
        first = max(first, self.oldest)
        for number in range(max(0, bisect_right(blocks, first, key=_first) - 1), len(blocks)):
            block = blocks[number]
            if block.first >= last:
                return
            start, stop = max(first, block.first), min(last, block.next)
            if start < stop:
                yield block, start, stop

    def _begin_block(self) -> _Block:
        blocks = [*self._blocks, _Block(self.next)]
        if len(blocks) > _FRESH_BLOCKS + 1:
            self.held_bytes += blocks[-2 - _FRESH_BLOCKS].pack()
        gone = 0
        while gone < len(blocks) - 2 and (
            self.held_bytes > self.max_bytes or blocks[gone].next <= self.oldest
        ):
            self.held_bytes -= blocks[gone].held_bytes
            gone += 1
        self.oldest = max(self.oldest, blocks[gone].first)
        self._blocks = blocks[gone:]
        return blocks[-1]


_first = attrgetter("first")


def _entry(one: Entry | Packed) -> Entry:
    return one if isinstance(one, Entry) else entry_of(one)
