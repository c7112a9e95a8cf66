"""Take a copy of a payload that nobody can change afterwards, whatever was handed in.

A snapshot never raises. Scalars are shared; dict, list, tuple and set are copied and stay
what they are (equal to the original, but read-only); any other value becomes a *tag*, a
dict ``{"_tag": <type>, "text": ...}``. What is too deep, too long or too much is cut, and
every tag and cut is counted in ``FrozenDict.cuts``.
"""

import datetime
import enum
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any, NoReturn, SupportsIndex

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

# Types whose text says all and is made without running the user's code.
_TEXT_TYPES = frozenset(
    {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, complex}
)


_class_name = type.__dict__["__name__"].__get__


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} is read-only: an event's payload never changes")


class FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed; equal to the plain dict, accepted by ``json.dumps``.

    Attributes:
        cuts: How many values were tagged or cut when it was made. Not set, like ``weight``,
            on one made of a plain dict of scalars, in which there is nothing to tell.
        weight: Estimated bytes of its strings and nested containers.
    """

    __slots__ = ("cuts", "weight")
    cuts: int
    weight: int

    __setitem__ = __delitem__ = clear = update = pop = popitem = setdefault = _refuse
    __ior__ = _refuse

    def copy(self) -> dict[Any, Any]:
        """Give a plain dict that may be changed; nested containers stay shared."""
        return dict(self)

    def __copy__(self) -> "FrozenDict":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenDict":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: getattr(self, name) for name in self.__slots__ if hasattr(self, name)}
        return (FrozenDict, (dict(self),), (None, state))


class FrozenList(list[Any]):
    """A list that cannot be changed; equal to the plain list."""

    __slots__ = ()

    __setitem__ = __delitem__ = append = extend = insert = remove = _refuse
    pop = clear = sort = reverse = _refuse
    __iadd__ = __imul__ = _refuse

    def __copy__(self) -> "FrozenList":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenList":
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return (FrozenList, (list(self),))


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
    except Exception as error:  # noqa: BLE001 - a hostile mapping: its items(), its keys' hash
        return _tagged_payload(f"unreadable {_type_name(payload)}", _type_name(error))


def thaw(value: Any) -> Any:
    """Give a fresh plain copy of a snapshot's value that ``json.dumps`` takes.

    Tuples and sets become lists (sets sorted by their members' ``repr``).
    """
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    if isinstance(value, frozenset):
        return [thaw(item) for item in sorted(value, key=repr)]
    return value


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
            except Exception as error:  # noqa: BLE001 - a container that cannot be read costs itself alone
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
        except Exception as error:  # noqa: BLE001 - whatever asking for its type has run
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
        if _is_scalar(key):
            return key
        is_text = issubclass(type(key), str)
        text = str.__str__(key) if is_text else f"<{_type_name(key)}>"
        if not is_text or len(text) > MAX_KEY_CHARACTERS:
            self.cuts += 1
            text = text[:MAX_KEY_CHARACTERS]
        self._key_characters += len(text)
        while text in target:  # what was cut may look like another key
            text += "#"
        return text

    def _set(self, values: Any) -> frozenset[Any]:
        room = max(0, MAX_NODES - self._nodes)
        members = list(islice(values, room + 1))
        self._nodes += len(members)
        if len(members) > room:
            self.cuts += 1
            members[room:] = [f"<{len(values) - room} more>"]
        return frozenset(map(self._member, members))

    def _member(self, value: Any) -> Any:
        if _is_scalar(value):
            return value
        if type(value) is str:
            return self._string(value)
        self.cuts += 1
        return f"<{_type_name(value)}>"

    def _odd(self, value: Any) -> Any:
        # Subclasses (StrEnum, IntEnum, numpy's float64) are taken as the plain value.
        kind = type(value)
        if issubclass(kind, str):
            return self._string(str.__str__(value))
        if issubclass(kind, int) and _is_scalar(int.__int__(value)):
            return int.__int__(value)
        if issubclass(kind, float):
            return float.__float__(value)
        self.cuts += 1
        return _tag(_type_name(value), self._string(_text_of(value)))


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
        if isinstance(value, enum.Enum):
            return str(value.name)
        if type(value) in _TEXT_TYPES or _is_library_value(value):
            return str(value)
        if isinstance(value, BaseException):
            return ", ".join(item for item in value.args if type(item) is str)
        if isinstance(value, int):
            return f"{int.bit_length(value)} bits"
        if type(value) is float or type(value) is str:
            return str(value)
    except Exception:  # noqa: BLE001 - such as a time zone of the user's
        return ""
    return ""


def _is_library_value(value: Any) -> bool:
    """Tell a decimal, a UUID or a path. Who has one has imported its module; we need not."""
    for module, name in (("decimal", "Decimal"), ("uuid", "UUID"), ("pathlib", "PurePath")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(value, kind):
            # A subclass of the user's may have a __str__ of its own.
            return type(value).__module__.partition(".")[0] == module
    return False


def _tag(what: str, text: str) -> FrozenDict:
    return FrozenDict({"_tag": what, "text": text})


def _tagged_payload(what: str, text: str) -> FrozenDict:
    result = _tag(what, text)
    result.cuts = 1
    result.weight = len(text)
    return result
