"""How far a reader is in a partition, as the bucket keeps it.

``docs/reference/nats.md`` describes the keys. An entry is written only by compare-and-set: an agent
that lost its partition can no longer write. A *snapshot* is what the reader had at a position, such
as open spans, and the runs as far as they were read there; it is taken seldom, and the entry says
where it is.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

_MAX_INLINE_BYTES = 1_024
_PIECE_BYTES = 512 * 1024
"""Most bytes of a snapshot under one key: a server takes at most 1 MiB as it comes."""
_HEADERS_BYTES = 1_024
"""Room for the headers and the key of a piece, which the server counts too."""
_MOST = 2**63


@frozen(order=True)
class Place:
    """A place in a partition: all before it is settled.

    Attributes:
        sequence: Sequence number in the stream of the last message that is settled as a whole; 0:
            none is.
        next: Sequence number, in its run, up to which the message behind that is settled; 0: it
            is not begun.
    """

    sequence: int = 0
    next: int = 0


@frozen
class SnapshotAt:
    """Where a snapshot is.

    Attributes:
        place: Where it was taken.
        inline: Itself, where it is small.
        blob: Id of its pieces otherwise.
        parts: How many of them there are.
    """

    place: Place
    inline: str | None = None
    blob: str | None = None
    parts: int = 0


@frozen(kw_only=True)
class Entry:
    """How far a reader is in a partition.

    Attributes:
        owner: Id of the agent that owns it; None: no agent does.
        stream: When the stream was created: in another stream the numbers mean nothing.
        place: All before it is settled.
        expired: How many events were gone before they were read, in all.
        unverified: How many were passed over because they are not proven, in all.
        snapshot: Where the newest snapshot is; None: there is none.
    """

    owner: str | None
    stream: str
    place: Place = field(factory=Place)
    expired: int = 0
    unverified: int = 0
    snapshot: SnapshotAt | None = None

    def to_bytes(self) -> bytes:
        """Write it."""
        at = self.snapshot
        values = {
            "owner": self.owner,
            "stream": self.stream,
            "seq": self.place.sequence,
            "next": self.place.next,
            "expired": self.expired,
            "unverified": self.unverified,
            "snapshot": None if at is None else {
                "seq": at.place.sequence, "next": at.place.next,
                **({"state": at.inline} if at.blob is None else
                   {"blob": at.blob, "parts": at.parts}),
            },
        }  # fmt: skip
        return json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Entry":
        """Read it.

        Raises:
            ValueError: The data is damaged.
        """
        try:
            values = json.loads(data)
            at, owner, stream = values["snapshot"], values["owner"], values["stream"]
            if not isinstance(stream, str) or not (owner is None or isinstance(owner, str)):
                raise TypeError("owner or stream is not text")
            return cls(
                owner=owner,
                stream=stream,
                place=_place(values),
                expired=_number(values["expired"]),
                unverified=_number(values["unverified"]),
                snapshot=None if at is None else _snapshot_at(at),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an entry: {error}") from error

    def owned_by(self, owner: str | None) -> "Entry":
        """Give it with another owner."""
        return evolve(self, owner=owner)


def _snapshot_at(values: Mapping[str, Any]) -> SnapshotAt:
    if "blob" in values:
        return SnapshotAt(_place(values), None, str(values["blob"]), _number(values["parts"]))
    return SnapshotAt(_place(values), str(values["state"]))


def _place(values: Mapping[str, Any]) -> Place:
    return Place(_number(values["seq"]), _number(values["next"]))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"not a number: {value!r:.40}")
    return value


@frozen
class Snapshot:
    """What a reader had at a place.

    Attributes:
        state: Its own; None: it has none.
        runs: The runs of the partition.
    """

    state: Mapping[str, Any] | None = None
    runs: Mapping[str, Any] = field(factory=dict)

    def to_bytes(self) -> bytes:
        """Write it.

        Raises:
            ValueError: A plugin's state is not plain JSON.
            TypeError: The same.
        """
        document = {"state": self.state, "runs": self.runs}
        return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Snapshot":
        """Read it.

        Raises:
            ValueError: The data is damaged.
        """
        try:
            document = json.loads(zlib.decompress(data))
            state, runs = document["state"], document["runs"]
        except (zlib.error, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a snapshot: {error}") from error
        if not isinstance(runs, dict) or not (state is None or isinstance(state, dict)):
            raise ValueError("not a snapshot: state or runs are not objects")
        return cls(state, runs)


def pieces_of(data: bytes, max_payload: int) -> list[bytes]:
    """Cut a snapshot into pieces that a server takes.

    Args:
        data: The snapshot.
        max_payload: Most bytes of a message that the server takes, with its headers.
    """
    size = max(1, min(_PIECE_BYTES, max_payload - _HEADERS_BYTES))
    return [data[at : at + size] for at in range(0, len(data), size)]


def inline_of(data: bytes) -> str | None:
    """Encode a small snapshot for the entry itself; None: it is too large."""
    if len(data) > _MAX_INLINE_BYTES:
        return None
    return base64.b64encode(data).decode("ascii")


def from_inline(text: str) -> bytes:
    """Read what ``inline_of`` gave.

    Raises:
        ValueError: The data is damaged.
    """
    return base64.b64decode(text, validate=True)
