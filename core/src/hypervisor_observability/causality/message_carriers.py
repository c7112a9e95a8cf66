"""Carriers in messages: MCP's ``_meta``, A2A's ``metadata``, headers that are pairs.

HTTP headers, environments and the headers of most queues are mappings of strings already.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen

from ..threads.interruptions import is_from_handler
from .carriers import text_of

MCP_META: Final = "_meta"
"""Where parameters of an MCP request, and results, have room for trace context: its names are
keys of that object as they are in HTTP."""

A2A_METADATA: Final = "metadata"
"""Where messages, tasks and artifacts of A2A have room for what is theirs."""


def carrier_in(message: MutableMapping[str, Any], key: str) -> MutableMapping[str, Any]:
    """Give the object under *key* of a message to be sent, made where there is none.

    Args:
        message: The parameters of a request, or a message, as plain values for JSON.
        key: ``MCP_META`` or ``A2A_METADATA``.

    Returns:
        What ``inject`` can write into; of what is no message, such as None, what it cannot, and
        counts. Never raises.
    """
    try:
        carrier = message.get(key)
        if not isinstance(carrier, MutableMapping):
            carrier = message[key] = {}
    except Exception as error:  # it stands in the path of what the application sends
        if is_from_handler(error):
            raise
        return MappingProxyType({})  # type: ignore[return-value]  # inject refuses it
    return carrier


def carrier_of(message: object, key: str) -> Mapping[str, Any]:
    """Give the object under *key* of a message that was received; an empty one otherwise.

    Never raises: a peer can send anything.
    """
    carrier = message.get(key) if isinstance(message, Mapping) else None
    return carrier if isinstance(carrier, Mapping) else {}


@frozen(eq=False)
class HeaderPairs(MutableMapping[str, str]):
    """A list of pairs as a carrier: headers of Kafka or of ASGI.

    Bytes are read as UTF-8; what is none counts as absent. Names are told apart by more than
    their case. One that stands there several times has its values joined by commas, as in HTTP.

    Attributes:
        pairs: Name and value, changed in place.
        names: What names are written as: Kafka has ``str``, ASGI ``bytes``.
        values_as: The same for values; the argument is ``values``.
    """

    pairs: list[tuple[Any, Any]]
    names: type[str] | type[bytes] = field(default=str, kw_only=True)
    values_as: type[str] | type[bytes] = field(default=bytes, kw_only=True, alias="values")

    def __getitem__(self, name: str) -> str:
        values = [value for key, value in self._texts() if key.lower() == name.lower()]
        if not values:
            raise KeyError(name)
        return ",".join(values)

    def __setitem__(self, name: str, value: str) -> None:
        self._drop(name)
        self.pairs.append((_to(self.names, name), _to(self.values_as, value)))

    def __delitem__(self, name: str) -> None:
        if not self._drop(name):
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({key.lower(): key for key, _ in self._texts()}.values())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _drop(self, name: str) -> int:
        kept = [pair for pair in self.pairs if (_text(pair[0]) or "").lower() != name.lower()]
        dropped = len(self.pairs) - len(kept)
        self.pairs[:] = kept
        return dropped

    def _texts(self) -> Iterator[tuple[str, str]]:
        for key, value in self.pairs:
            name, text = _text(key), _text(value)
            if name is not None and text is not None:
                yield name, text


def _text(value: object) -> str | None:
    text = text_of(value)
    return text if isinstance(text, str) else None


def _to(kind: type[str] | type[bytes], text: str) -> Any:
    return text.encode() if issubclass(kind, bytes) else text
