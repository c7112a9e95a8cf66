"""One event as an opened row shows it: whole, but for payloads that no page could show."""

import json
import math
from typing import Any

from hypervisor_observability.events.event import is_erased
from hypervisor_observability.stores import Entry

MOST_PAYLOAD_BYTES = 256 * 1024

_CUT = "…"
_MOST_INTEGER = (1 << 53) - 1  # ECMA-262, Number.MAX_SAFE_INTEGER
_LEAST_BYTES = 2  # of a value with the comma behind it


def event_dict(
    position: int | None, entry: Entry, most_bytes: int = MOST_PAYLOAD_BYTES
) -> dict[str, Any]:
    """Give an event with its place; its payload is cut to *most_bytes*, and that told.

    Numbers that JavaScript would round, and those that JSON has not, are texts.
    """
    event = entry.event.to_dict()
    if is_erased(entry.event):
        event["erased"] = True
    cut = _bytes_of(event["payload"]) > most_bytes
    if cut:
        event["payload"] = _Budget(most_bytes).fit(event["payload"])
    event["payload"] = _exact(event["payload"])
    return {
        "position": position,
        "run": entry.run,
        "sequence": entry.sequence,
        "event": event,
        "payload_cut": cut,
    }


class _Budget:
    """Copies values until there are no bytes left; what is cut ends with an ellipsis."""

    def __init__(self, left: int) -> None:
        self._left = left

    def fit(self, value: Any) -> Any:
        if isinstance(value, dict):
            return dict(self._pairs(value))
        if isinstance(value, list):
            return list(self._items(value))
        if isinstance(value, str):
            return self._text(value)
        self._left -= _bytes_of(value) + _LEAST_BYTES
        return value

    def _pairs(self, values: dict[Any, Any]) -> Any:
        for key, value in values.items():
            if self._left <= 0:
                yield _CUT, f"{len(values):,} keys in all"
                return
            self._left -= _bytes_of(key) + _LEAST_BYTES
            yield key, self.fit(value)

    def _items(self, values: list[Any]) -> Any:
        for value in values:
            if self._left <= 0:
                yield f"{_CUT} {len(values):,} in all"
                return
            yield self.fit(value)

    def _text(self, text: str) -> str:
        # A character has up to twelve bytes, as a pair of escapes.
        if len(text) * 12 > self._left and _bytes_of(text) > self._left:
            kept = text[: max(0, self._left // 12)]
            text = f"{kept}{_CUT} ({len(text):,} characters in all)"
        self._left -= _bytes_of(text) + _LEAST_BYTES
        return text


def _exact(value: Any) -> Any:
    """Give *value* with such numbers as texts: an id of 64 bits would become another one."""
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    if isinstance(value, int) and not -_MOST_INTEGER <= value <= _MOST_INTEGER:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _bytes_of(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))
