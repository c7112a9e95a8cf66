"""Find secrets: by the name of their key, and by their own text.

This is a net, not a guarantee: what no rule knows goes through. The guarantee is a plugin's
list of payload keys.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..config.settings import compiled
from .assignments import Span, assigned_secrets
from .secret_names import DEFAULT_KEYS, SecretNames
from .token_patterns import SHIPPED

REDACTED = "[redacted]"

_SHORTEST = 8  # characters that the shortest find of a shipped rule has


class Redaction:
    """Find secrets.

    Args:
        keys: Names of keys whose values are secrets. Numbers and truth values under the shipped
            names are measurements, and stay; under any other name they are secrets too.
        patterns: Regular expressions for secrets in text. Each runs as it stands, with its own
            flags and groups, over the whole text.

    Raises:
        ValueError: A pattern is not a regular expression.
    """

    def __init__(self, keys: Iterable[str], patterns: Iterable[str]) -> None:
        keys = tuple(keys)
        self._names = SecretNames(keys)
        self._own_names = SecretNames(key for key in keys if key not in DEFAULT_KEYS)
        marks = dict(SHIPPED)
        self._shipped: list[tuple[str, re.Pattern[str]]] = []
        self._own: list[re.Pattern[str]] = []
        for pattern in patterns:
            expression = compiled(pattern)
            if pattern in marks:
                self._shipped += [(mark, expression) for mark in marks[pattern]]
            else:
                self._own.append(expression)
        self._marks = tuple(mark for mark, _ in self._shipped)
        self._all_marks = (*self._marks, *self._names.marks)

    def hides(self, key: str) -> bool:
        """Tell whether the values of *key* are secrets."""
        return key in self._names

    def hides_value(self, key: str, value: Any) -> bool:
        """Tell whether *value*, of a *key* whose values are secrets, is one."""
        return value is not None and (not _is_measurement(value) or key in self._own_names)

    def in_text(self, text: str) -> bool:
        """Tell whether there is a secret in *text*."""
        # Nearly all texts hold no mark, which is found out fast.
        if not (self._own or len(text) >= _SHORTEST):
            return False
        lower = text.lower()
        assigns = "=" in text or ":" in text or "--" in text or "</" in text or "('" in text
        marks = self._all_marks if assigns else self._marks
        for mark in marks:
            if mark in lower:
                break
        else:
            if not self._own:
                return False
        return next(self._found(text), None) is not None

    def without_secrets(self, text: str) -> tuple[str, int]:
        """Give *text* with each secret replaced, and how many there were."""
        if not self.in_text(text):
            return text, 0
        parts, count, position = [], 0, 0
        for start, end in _joined(self._found(text)):
            # What another reader's gate took out is not counted again.
            if text[start:end] != REDACTED:
                parts += [text[position:start], REDACTED]
                count, position = count + 1, end
        return ("".join([*parts, text[position:]]), count) if count else (text, 0)

    def _found(self, text: str) -> Iterator[Span]:
        """Give where secrets stand, in no order; they may overlap."""
        for expression in self._own:
            yield from (found.span() for found in expression.finditer(text) if found[0])
        lower = text.lower()
        for mark, expression in self._shipped:
            if mark in lower:
                yield from (found.span() for found in expression.finditer(text))
        yield from assigned_secrets(text, self._names)


def _joined(spans: Iterator[Span]) -> Iterator[Span]:
    """Give *spans* in their order, those that overlap as one."""
    current: Span | None = None
    for start, end in sorted(spans):
        if current is not None and start < current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current


def _is_measurement(value: Any) -> bool:
    """Tell whether there is nothing but numbers and truth values in *value*."""
    if isinstance(value, dict):
        return all(map(_is_measurement, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_measurement, value))
    return value is None or isinstance(value, (bool, int, float))
