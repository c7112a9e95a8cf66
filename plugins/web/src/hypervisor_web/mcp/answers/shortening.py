"""Recorded values as a model may read them: visible, and of bounded length."""

from collections.abc import Mapping
from typing import Any

from attrs import define

from hypervisor_observability.text.terminal_text import escape, one_line

_MOST_DEPTH = 12
_MOST_KEY = 120
_LEFT_OUT = "_left_out"


def visible(text: str) -> str:
    r"""Write what cannot be seen as ``\u202e``, line by line.

    Invisible characters can carry instructions that people do not see, and a model reads.
    """
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(escape(line) for line in text.replace("\t", "    ").split("\n"))


def cut(text: str, most: int) -> str:
    """Cut *text* to *most* characters, and say how many it had."""
    if len(text) <= most:
        return text
    return f"{text[: max(0, most)]}… ({len(text):,} characters)"


def counted(count: int, noun: str) -> str:
    """Write how many there are of something, such as ``1 event``; *noun* adds an s or es."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith(('s', 'ch')) else 's'}"


def line(text: object, most: int = 200) -> str:
    """Write anything in one visible line of at most *most* characters."""
    return cut(one_line(str(text)[: 2 * most]), most)


def who(did: str, name: str) -> str:
    """Name an agent in a line."""
    return f"{line(name)} ({line(did)})" if name and name != did else line(did)


def shortened(value: Any, most: int) -> Any:
    """Copy a value of JSON so that it takes about *most* characters: the beginning of each part.

    What is left out is said in its place.
    """
    return _Copy(most).of(value, _MOST_DEPTH)


@define(eq=False)
class _Copy:
    room: int

    def of(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            text = cut(visible(value[: self.room + 1]), self.room)
            if len(value) > self.room:
                text = f"{text.partition('… (')[0]}… ({len(value):,} characters)"
            self.room -= len(text) + 2
            return text
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(list(value), depth)
        self.room -= len(str(value)) + 1
        return value if value is None or isinstance(value, bool | int | float) else str(value)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, one in value.items():
            if self.room <= 0 or depth <= 0:
                found[_LEFT_OUT] = f"{len(value) - len(found):,} of {len(value):,} keys"
                break
            name = cut(visible(str(key)[: _MOST_KEY + 1]), _MOST_KEY)
            self.room -= len(name) + 6
            found[name] = self.of(one, depth - 1)
        return found

    def _items(self, value: list[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for one in value:
            if self.room <= 0 or depth <= 0:
                found.append(f"… {len(value) - len(found):,} of {len(value):,} left out")
                break
            self.room -= 2
            found.append(self.of(one, depth - 1))
        return found
