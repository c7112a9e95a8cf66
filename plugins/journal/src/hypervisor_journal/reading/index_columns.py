"""What the index keeps of the events of a segment: columns of 8 bytes an event."""

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

from attrs import define, field, frozen

_HASH_BYTES = 8
_PLACES, _TIMES = "place", "time"
_HASHED = ("trace", "session", "agent", "type")  # the most selective one first


@lru_cache(maxsize=50_000)
def hash_of(text: str | None) -> int:
    """Give what stands for *text* in the index; 0 for None."""
    if text is None:
        return 0
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "little", signed=True)


@frozen
class IndexedSegment:
    """A segment as it was when it was indexed; as another one it is not known.

    Attributes:
        run: Name of the run.
        number: Of the segment in its run.
        size: Bytes of the file.
        changed_ns: When the file was last written to: erasing is seen by it.
        until: Records from this sequence number on stand in the next segment.
    """

    run: str
    number: int
    size: int
    changed_ns: int
    until: int

    @property
    def state(self) -> str:
        """What changes when the answers may."""
        # Numbers have the byte order of the machine.
        return f"{self.size} {self.changed_ns} {self.until} {sys.byteorder}"

    @property
    def identity(self) -> bytes:
        """What tells it from any other segment, and from itself before a change."""
        return f"{self.run}/{self.number} {self.state}".encode()


@frozen
class Question:
    """What is looked for.

    Attributes:
        hashes: By ``trace``, ``session``, ``agent`` and ``type``; what is missing does not matter.
        since_ns: The first moment, in nanoseconds since the epoch; None: any.
        until_ns: The last moment, included; None: any.
    """

    hashes: dict[str, int]
    since_ns: int | None = None
    until_ns: int | None = None

    def meets(self, first_ns: int, last_ns: int) -> bool:
        """Tell whether any moment between these, both included, is meant."""
        return (self.since_ns is None or self.since_ns <= last_ns) and (
            self.until_ns is None or self.until_ns >= first_ns
        )


@define(eq=False)
class Columns:
    """The columns of a segment, while it is read."""

    _arrays: "dict[str, array[int]]" = field(
        factory=lambda: {name: array("q") for name in (_PLACES, _TIMES, *_HASHED)}
    )

    def add(
        self,
        place: int,
        time_ns: int,
        *,
        event_type: str,
        session_id: str | None,
        agent_did: str | None,
        trace: str | None,
    ) -> None:
        """Add an event, which begins at byte *place*."""
        arrays = self._arrays
        arrays[_PLACES].append(place)
        arrays[_TIMES].append(time_ns)
        arrays["type"].append(hash_of(event_type))
        arrays["session"].append(hash_of(session_id))
        arrays["agent"].append(hash_of(agent_did))
        arrays["trace"].append(hash_of(trace))

    def __bool__(self) -> bool:
        return bool(self._arrays[_PLACES])

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """The least and the greatest time."""
        times = self._arrays[_TIMES]
        return min(times), max(times)

    def as_bytes(self) -> Iterator[tuple[str, bytes]]:
        """Give name and content of each."""
        for name, numbers in self._arrays.items():
            yield name, numbers.tobytes()


def places_in(
    load: Callable[[str], bytes], question: Question, first_ns: int, last_ns: int
) -> list[int]:
    """Give the bytes at which events begin that may be meant.

    Args:
        load: Gives a column by its name.
        question: What is looked for.
        first_ns: Least time of all events.
        last_ns: The greatest one.
    """
    rows: Iterable[int] | None = None
    for name in _HASHED:
        if name not in question.hashes:
            continue
        wanted = question.hashes[name]
        data = load(name)
        if rows is None:
            rows = _rows_with(data, wanted.to_bytes(_HASH_BYTES, sys.byteorder, signed=True))
        else:
            hashes = _numbers(data)
            rows = [row for row in rows if hashes[row] == wanted]
    least = first_ns if question.since_ns is None else question.since_ns
    most = last_ns if question.until_ns is None else question.until_ns
    places = _numbers(load(_PLACES))
    if least > first_ns or most < last_ns:
        times = _numbers(load(_TIMES))
        chosen = range(len(times)) if rows is None else rows
        return [places[row] for row in chosen if least <= times[row] <= most]
    return places.tolist() if rows is None else [places[row] for row in rows]


def _rows_with(data: bytes, wanted: bytes) -> list[int]:
    rows = []
    at = data.find(wanted)
    while at >= 0:
        row, beside = divmod(at, _HASH_BYTES)
        if not beside:
            rows.append(row)
        at = data.find(wanted, at + (1 if beside else _HASH_BYTES))
    return rows


def _numbers(data: bytes) -> "array[int]":
    numbers = array("q")
    numbers.frombytes(data)
    return numbers
