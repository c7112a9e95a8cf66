"""Turn the values of a snapshot into JSON: no tuples, no sets, no two keys with the same text."""

from collections.abc import Container, Iterable, Iterator
from typing import Any


def thaw(value: Any) -> Any:
    """Give a fresh plain copy of a snapshot's value that ``json.dumps`` takes.

    Tuples and sets become lists (sets sorted by their members' ``repr``), as keys their text. Of
    keys with one JSON text, such as 1 and "1", ``#`` is added to the later one.
    """
    if isinstance(value, dict):
        if set(map(type, value)) <= _STR_ALONE:  # as nearly always
            return {key: thaw(item) for key, item in value.items()}
        return dict(zip(_json_keys(value), map(thaw, value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    if isinstance(value, frozenset):
        return [thaw(item) for item in sorted(value, key=repr)]
    return value


_NO_JSON_KEYS = (tuple, frozenset)
_STR_ALONE = {str}


def _json_keys(keys: Iterable[Any]) -> Iterator[Any]:
    """Give *keys* as ``json.dumps`` takes them, no two of which it writes alike, as 1 and "1"."""
    written: set[str] = set()
    for key in keys:
        text = json_text(key)
        free = free_key(text, written)
        written.add(free)
        yield key if free == text and not isinstance(key, _NO_JSON_KEYS) else free


def json_text(value: Any) -> str:
    """Give a string itself, else a snapshot's value as JSON: ``true``, ``null``, ``["a", 1]``."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(thaw(value), ensure_ascii=False)


def free_key(key: Any, taken: Container[Any]) -> Any:
    """Give *key* if it is not in *taken*, else its text with as many ``#`` as it needs."""
    while key in taken:
        key = f"{json_text(key)}#"
    return key
