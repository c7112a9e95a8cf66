"""Check what is recorded against the table of payloads: for tests, and for who writes a source."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from ..events.event import HypervisorEvent, is_erased
from .payload_facts import GREATEST_RING
from .payload_keys import EVENTS, PAYLOAD_KEYS, KeyKind

_SCALARS = (str, bool, int, float)


class _Rule(NamedTuple):
    """What holds of a key in a type of events."""

    is_required: bool
    words: tuple[str, ...]
    kind: KeyKind
    holds: Callable[[Any], bool]


def payload_problems(event: HypervisorEvent) -> list[str]:
    """Tell what of an event's payload is not as the table has it; an empty list if all is.

    A key that the table does not give to that type, a value that is not what the key holds, a key
    that must be there and is not. An event of another type may say anything, and so may one whose
    payload was erased.
    """
    rules = _rules_of(event.event_type.value)
    if rules is None or is_erased(event):
        return []
    kind, payload = event.event_type.value, event.payload
    found = [f"{kind}: {key}: {problem}" for key, problem in misfits(kind, payload).items()]
    missing = [key for key, rule in rules.items() if rule.is_required and key not in payload]
    return found + [f"{kind}: {key}: missing" for key in missing]


def misfits(kind: str, payload: Mapping[str, Any]) -> dict[str, str]:
    """Tell why keys of a *payload* are not as the table has them for a *kind* of events."""
    rules = _rules_of(kind)
    if rules is None:
        return {}
    found = {}
    for key, value in payload.items():
        rule = rules.get(key)
        if rule is None:
            found[key] = "not a key of this type (your own belong into 'attributes')"
        elif not rule.holds(value):
            found[key] = f"expected {_EXPECTED[rule.kind]}, got {value!r:.60}"
        elif rule.words and value not in rule.words:
            found[key] = f"expected {' or '.join(rule.words)}, got {value!r:.60}"
    return found


@cache
def _rules_of(kind: str) -> Mapping[str, _Rule] | None:
    text = EVENTS.get(kind)
    if text is None:
        return None
    # Whoever has something of their own to say may say it of anything.
    rules = {"attributes": _rule("attributes", is_required=False, words="")}
    for one in text.split():
        name, _, words = one.partition("=")
        key = name.rstrip("!")
        rules[key] = _rule(key, is_required=key != name, words=words)
    return rules


def _rule(key: str, *, is_required: bool, words: str) -> _Rule:
    kind = PAYLOAD_KEYS[key].kind
    return _Rule(is_required, tuple(words.split("|") if words else ()), kind, _HOLDS[kind])


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_flat(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, _SCALARS) for one in value.values())


_HOLDS: Mapping[str, Callable[[Any], bool]] = {
    "amount": lambda value: _is_number(value) and value >= 0,
    "attributes": _is_flat,
    "count": lambda value: _is_integer(value) and value >= 0,
    "flag": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list | tuple),
    "name": lambda value: value != "" if isinstance(value, str) else _is_integer(value),
    "number": _is_number,
    "ring": lambda value: _is_integer(value) and 0 <= value <= GREATEST_RING,
    "text": lambda _: True,
    "word": lambda value: isinstance(value, str) and value != "",
}
_EXPECTED = {
    "amount": "a number from 0",
    "attributes": "a flat dict of scalars",
    "count": "an integer from 0",
    "flag": "true or false",
    "list": "a list",
    "name": "a string or an integer",
    "number": "a number",
    "ring": f"an integer from 0 to {GREATEST_RING}",
    "text": "anything",
    "word": "a string",
}
