"""YAML for people to read and edit, from dicts, lists and scalars."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Yaml = Mapping[str, "Yaml"] | Sequence["Yaml"] | str | int | float | bool

# What no version of YAML reads as anything but this text: YAML 1.2.2, section 7.3.3, and
# none of the words for truth and nothing of 1.1.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_MAX_KEY_CHARACTERS = 1_024
"""Of a key without ``?`` before it, as it is written: YAML 1.2.2, section 7.4.2."""
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def yaml_text(value: Yaml, comment: str = "") -> str:
    """Write *value* in block style, below *comment*.

    Raises:
        TypeError: Something in it is of another type.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *_block(value), ""])


def _block(value: Yaml) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(_scalar(key), item)
    elif isinstance(value, Sequence) and value and not isinstance(value, str):
        for item in value:
            yield from _marked("-", item)
    else:
        yield _scalar(value)


def _entry(key: str, item: Yaml) -> Iterator[str]:
    if len(key) > _MAX_KEY_CHARACTERS:
        yield f"? {key}"
        yield from _marked(":", item)
    elif isinstance(item, (str, int, float)) or not item:
        yield f"{key}: {_scalar(item)}"
    else:
        yield f"{key}:"
        yield from (f"  {line}" for line in _block(item))


def _marked(mark: str, item: Yaml) -> Iterator[str]:
    lines = _block(item)
    yield f"{mark} {next(lines)}"
    yield from (f"  {line}" for line in lines)


def _scalar(value: Yaml) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    raise TypeError(f"no scalar: {type(value).__name__}")


def _escaped(character: str) -> str:
    # JSON's escapes are YAML's too, but for the pairs of surrogates.
    if character > "\uffff":
        return f"\\U{ord(character):08x}"
    return json.dumps(character)[1:-1]
