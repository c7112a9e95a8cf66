"""Take a copy of a payload that nobody can change afterwards, whatever was handed in.

A snapshot never raises. Scalars are shared; dict, list, tuple and set are copied and stay
what they are (equal to the original, but read-only). A scalar of another type becomes the plain
value that it stands for (see ``scalars``), wherever it stands: as a value, a key or a set's
member. Any other value becomes a *tag*, a dict ``{"_tag": <type>, "text": ...}``. What is too
deep, too long or too much is cut, and every tag and cut is counted in ``FrozenDict.cuts``.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..threads.interruptions import is_from_handler
from ..values.scalars import NOT_PLAIN, plain_scalar
from .frozen_containers import FrozenDict, FrozenList
from .json_values import free_key

MAX_DEPTH = 16
MAX_NODES = 4_096
MAX_KEYS = 256
MAX_KEY_CHARACTERS = 256
MAX_STRING_CHARACTERS = 16_384
MAX_TOTAL_CHARACTERS = 65_536
SHORT_STRING_CHARACTERS = MAX_TOTAL_CHARACTERS // MAX_KEYS
"""As long as each string of one level may be without the total passing its bound."""

_NODE_BYTES = 64  # a value with its place in a container, roughly
MAX_INT_BITS = 2_048
"""Python writes any integer of this size as decimal digits, whatever its limit is set to
(``sys.set_int_max_str_digits`` allows none below 640 digits)."""

_class_name = type.__dict__["__name__"].__get__


def snapshot(payload: Any) -> FrozenDict:
    """Copy *payload*. Never raises.

    A payload of one level, scalars and short strings alone, needs no more than ``dict.copy``:
    the event sees to that itself.
    """
    # type(), not __class__: an object may lie about the latter, as mocks with a spec do.
    if type(payload) is FrozenDict:
        return payload  # made by this function before
    try:
        return _Copier().copy({} if payload is None else payload)
    except Exception as error:  # a hostile mapping: its items(), its keys' hash
        if is_from_handler(error):
            raise
        return _tagged_payload(f"unreadable {_type_name(payload)}", _type_name(error))


class _Copier:
    """One iterative copy: no recursion, so it works near the interpreter's limit too."""

    def __init__(self) -> None:
        self.cuts = 0
        self._nodes = 0
        self._characters = 0
        self._key_characters = 0
        # (source, its copy, depth, ids of the containers around it)
        self._open: list[tuple[Any, Any, int, frozenset[int]]] = []
        self._tuples: list[tuple[Any, Any, list[Any]]] = []

    def copy(self, payload: Any) -> FrozenDict:
        if not isinstance(payload, Mapping):
            return _tagged_payload(_type_name(payload), _text_of(payload))
        result = FrozenDict()
        self._open.append((payload, result, 1, frozenset((id(payload),))))
        while self._open:
            source, target, depth, around = self._open.pop()
            try:
                if isinstance(target, dict):
                    self._fill_dict(source, target, depth, around)
                else:
                    self._fill_list(source, target, depth, around)
            except Exception as error:  # a container that cannot be read costs itself alone
                if is_from_handler(error):
                    raise
                self._unreadable(source, target, error)
        # Children come after their parents, so the innermost tuples are made first.
        for container, key, items in reversed(self._tuples):
            _store(container, key, tuple(items))
        result.cuts = self.cuts
        result.weight = _NODE_BYTES * self._nodes + self._characters + self._key_characters
        return result

    def _unreadable(self, source: Any, target: Any, error: Exception) -> None:
        self.cuts += 1
        mark = _tag(f"unreadable {_type_name(source)}", _type_name(error))
        if isinstance(target, dict):
            dict.update(target, mark)
        else:
            list.append(target, mark)

    def _fill_dict(
        self, source: Mapping[Any, Any], target: Any, depth: int, around: frozenset[int]
    ) -> None:
        items = list(islice(source.items(), MAX_KEYS + 1))
        if len(items) > MAX_KEYS:
            self.cuts += 1
            dict.__setitem__(target, "_cut", len(source) - MAX_KEYS)
            del items[MAX_KEYS:]
        for key, value in items:
            if type(key) is str and len(key) <= MAX_KEY_CHARACTERS and key not in target:
                self._key_characters += len(key)
                name: Any = key  # nearly every key
            else:
                name = self._key(key, target)
            dict.__setitem__(target, name, None)
            self._place(target, name, value, depth, around)

    def _fill_list(self, source: Any, target: Any, depth: int, around: frozenset[int]) -> None:
        room = max(0, MAX_NODES - self._nodes)
        items = list(islice(source, room + 1))
        list.extend(target, [None] * len(items[:room]))
        for position, value in enumerate(items[:room]):
            self._place(target, position, value, depth, around)
        if len(items) > room:
            self.cuts += 1
            list.append(target, _tag("cut", f"{len(source) - room} more"))

    def _place(self, target: Any, key: Any, value: Any, depth: int, around: frozenset[int]) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.cuts += 1
            _store(target, key, _tag("cut", "too many values"))
            return
        try:
            if _is_scalar(value):
                _store(target, key, value)
            elif type(value) is str:
                _store(target, key, self._string(value))
            elif isinstance(value, (Mapping, list, tuple)):
                self._nest(target, key, value, depth, around)
            elif isinstance(value, (set, frozenset)):
                _store(target, key, self._set(value))
            else:
                _store(target, key, self._odd(value))
        except Exception as error:  # whatever asking for its type has run
            if is_from_handler(error):
                raise
            self.cuts += 1
            _store(target, key, _tag(f"unreadable {_type_name(value)}", _type_name(error)))

    def _nest(self, target: Any, key: Any, value: Any, depth: int, around: frozenset[int]) -> None:
        if id(value) in around or depth >= MAX_DEPTH:
            self.cuts += 1
            what = "cycle" if id(value) in around else "depth"
            _store(target, key, _tag(what, _type_name(value)))
            return
        copied: Any = FrozenDict() if isinstance(value, Mapping) else FrozenList()
        if isinstance(value, tuple):
            copied = []
            self._tuples.append((target, key, copied))
        _store(target, key, copied)
        self._open.append((value, copied, depth + 1, around | {id(value)}))

    def _string(self, value: str) -> str:
        room = max(0, min(MAX_STRING_CHARACTERS, MAX_TOTAL_CHARACTERS - self._characters))
        if len(value) > room:
            self.cuts += 1
            value = value[:room]
        self._characters += len(value)
        return value

    def _key(self, key: Any, target: Mapping[Any, Any]) -> Any:
        # What was made plain, or cut, may look like another key.
        try:
            return free_key(key if _is_scalar(key) else self._other_key(key), target)
        except Exception as error:  # as for a value: it costs itself alone
            if is_from_handler(error):
                raise
            self.cuts += 1
            return free_key(f"<{_type_name(key)}>", target)

    def _other_key(self, key: Any) -> Any:
        name = self._plain(key)
        if name is NOT_PLAIN:
            name = self._member(key)
        if not isinstance(name, str):
            return name
        if len(name) > MAX_KEY_CHARACTERS:
            self.cuts += 1
            name = name[:MAX_KEY_CHARACTERS]
        self._key_characters += len(name)
        return name

    def _set(self, values: Any) -> frozenset[Any]:
        return frozenset(self._members(iter(values), len(values), MAX_DEPTH, most=MAX_NODES))

    def _members(
        self, values: Iterator[Any], size: int, depth: int, most: int = MAX_KEYS
    ) -> list[Any]:
        room = max(0, min(most, MAX_NODES - self._nodes))
        members = list(islice(values, room + 1))
        self._nodes += len(members)
        more = []
        if len(members) > room:
            self.cuts += 1
            more = [f"<{size - room} more>"]
            del members[room:]
        return [self._member(member, depth) for member in members] + more

    def _member(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """Copy what can be hashed: a member of a set, or of a tuple that is one, or a key."""
        if _is_scalar(value):
            return value
        # Of the type: an object may lie about its class.
        kind = type(value)
        if depth and issubclass(kind, tuple):
            return tuple(self._members(tuple.__iter__(value), tuple.__len__(value), depth - 1))
        if depth and issubclass(kind, frozenset):
            members = frozenset.__iter__(value), frozenset.__len__(value)
            return frozenset(self._members(*members, depth - 1))
        plain = self._plain(value)
        if plain is not NOT_PLAIN:
            return self._string(plain) if type(plain) is str else plain
        self.cuts += 1
        return f"<{_type_name(value)}>"

    def _odd(self, value: Any) -> Any:
        plain = self._plain(value)
        if plain is not NOT_PLAIN:
            return self._string(plain) if type(plain) is str else plain
        self.cuts += 1
        return _tag(_type_name(value), self._string(_text_of(value)))

    def _plain(self, value: Any) -> Any:
        plain = plain_scalar(value)
        return plain if type(plain) is str or _is_scalar(plain) else NOT_PLAIN


def _store(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, dict):
        dict.__setitem__(container, key, value)
    else:
        list.__setitem__(container, key, value)


def _is_scalar(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return int.bit_length(value) <= MAX_INT_BITS
    return kind is float or kind is bool or value is None


def _type_name(value: Any) -> str:
    # Past a metaclass that has a __name__ of its own.
    return str(_class_name(type(value)))[:MAX_KEY_CHARACTERS]


def _text_of(value: Any) -> str:
    """Describe *value* without running code of the user's: builtin types only."""
    try:
        if isinstance(value, (bytes, bytearray)):
            return bytes(value[:1_024]).hex()
        if type(value) is complex:
            return str(value)
        if isinstance(value, BaseException):
            return ", ".join(item for item in value.args if type(item) is str)
        if isinstance(value, int):
            return f"{int.bit_length(value)} bits"
        plain = plain_scalar(value)
        return "" if plain is NOT_PLAIN else str(plain)
    except Exception as error:  # such as a mock that lies about its class
        if is_from_handler(error):
            raise
        return ""


def _tag(what: str, text: str) -> FrozenDict:
    return FrozenDict({"_tag": what, "text": text})


def _tagged_payload(what: str, text: str) -> FrozenDict:
    result = _tag(what, text)
    result.cuts = 1
    result.weight = len(text)
    return result
