"""Requests of OTLP taken apart, down to single spans, data points or log records. Pure.

A receiver refuses a request that is larger than it takes: a gRPC server 4 MiB, unless told
otherwise, services behind HTTP 1 to 5 MiB.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import frozen
from google.protobuf.message import Message

# A tag and a length stand before each message that is part of another: 6 bytes at most; a
# metric's leaves are in a message within it.
_LEAF_FRAME_BYTES = 6
_FRAME_BYTES = 12


@frozen
class Levels:
    """What the messages of a signal are called that hold one another.

    Attributes:
        groups: The field of a request: telemetry by resource.
        scopes: The field of a group.
        items: The field of a scope.
        has_points: Whether an item holds the data points that are counted.
    """

    groups: str
    scopes: str
    items: str
    has_points: bool = False


_Path = tuple[Message, ...]


def leaves(request: Message, levels: Levels) -> Iterator[tuple[_Path, Message]]:
    """Give each span, data point or log record of *request*, with what it stands in."""
    for group in getattr(request, levels.groups):
        for scope in getattr(group, levels.scopes):
            for item in getattr(scope, levels.items):
                if not levels.has_points:
                    yield (group, scope), item
                    continue
                if item.WhichOneof("data") is not None:
                    for point in _points(item):
                        yield (group, scope, item), point


def count(request: Message, levels: Levels) -> int:
    """Count the spans, data points or log records of *request*."""
    items = [
        getattr(scope, levels.items)
        for group in getattr(request, levels.groups)
        for scope in getattr(group, levels.scopes)
    ]
    if not levels.has_points:
        return sum(map(len, items))
    return sum(len(_points(one)) for each in items for one in each if one.WhichOneof("data"))


def split(request: Message, levels: Levels, max_bytes: int) -> list[Message]:
    """Give requests that together hold what *request* holds, in its order.

    Each has at most *max_bytes* in protobuf, or a single leaf.
    """
    if request.ByteSize() <= max_bytes:
        return [request]
    return list(_packed(leaves(request, levels), type(request), levels, max_bytes))


def assembled(
    chosen: Iterable[tuple[_Path, Message]], kind: type[Message], levels: Levels
) -> Message:
    """Give one request of *chosen* leaves."""
    part = _Part(kind(), levels)
    for path, leaf in chosen:
        part.add(path, leaf)
    return part.request


def _packed(
    found: Iterable[tuple[_Path, Message]], kind: type[Message], levels: Levels, max_bytes: int
) -> Iterator[Message]:
    part, size = _Part(kind(), levels), 0
    for path, leaf in found:
        needed = leaf.ByteSize() + _LEAF_FRAME_BYTES + part.bytes_around(path)
        if size and size + needed > max_bytes:
            yield part.request
            part, size = _Part(kind(), levels), 0
            needed = leaf.ByteSize() + _LEAF_FRAME_BYTES + part.bytes_around(path)
        part.add(path, leaf)
        size += needed
    yield part.request


class _Part:
    """A request that is being filled; what is around the leaves is copied without them."""

    def __init__(self, request: Message, levels: Levels) -> None:
        self.request = request
        self._levels = levels
        # What was copied last: the original, and the copy.
        self._around: list[tuple[Message, Any]] = []

    def bytes_around(self, path: _Path) -> int:
        """How large what is around a leaf is, as far as it is not there yet, at most."""
        return sum(
            _copied(original, type(original)()).ByteSize() + _FRAME_BYTES
            for depth, original in enumerate(path)
            if not self._has(depth, original)
        )

    def add(self, path: _Path, leaf: Message) -> None:
        """Append *leaf*."""
        parent: Any = self.request
        for depth, original in enumerate(path):
            if self._has(depth, original):
                parent = self._around[depth][1]
                continue
            del self._around[depth:]
            names = (self._levels.groups, self._levels.scopes, self._levels.items)
            parent = _copied(original, getattr(parent, names[depth]).add())
            self._around.append((original, parent))
        target = _points(parent) if self._levels.has_points else _items(parent, self._levels)
        target.add().CopyFrom(leaf)

    def _has(self, depth: int, original: Message) -> bool:
        return len(self._around) > depth and self._around[depth][0] is original


def _items(scope: Any, levels: Levels) -> Any:
    return getattr(scope, levels.items)


def _points(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def _copied(original: Any, copy: Any) -> Any:
    """Copy all that is not in *original* for its leaves' sake."""
    for name in ("resource", "scope"):
        if name in original.DESCRIPTOR.fields_by_name and original.HasField(name):
            getattr(copy, name).CopyFrom(getattr(original, name))
    for name in ("schema_url", "name", "description", "unit"):
        if name in original.DESCRIPTOR.fields_by_name:
            setattr(copy, name, getattr(original, name))
    if "data" in original.DESCRIPTOR.oneofs_by_name:
        copy.metadata.extend(original.metadata)
        kind = original.WhichOneof("data")
        ours, theirs = getattr(copy, kind), getattr(original, kind)
        ours.SetInParent()
        for name in ("aggregation_temporality", "is_monotonic"):
            if name in theirs.DESCRIPTOR.fields_by_name:
                setattr(ours, name, getattr(theirs, name))
    return copy
