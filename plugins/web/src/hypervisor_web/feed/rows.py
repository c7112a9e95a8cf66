"""Rows: what a list of events shows of each, as the bytes that viewers get."""

import json
import threading
from collections.abc import Iterable, Sequence

from attrs import define, field

from hypervisor_observability.facts.trouble import is_trouble
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.search.one_line import short_trace, summary
from hypervisor_observability.stores import Entry, trace_of
from hypervisor_web.feed.ring import Ring

_MOST_CHARACTERS = 200
_MOST_ID = 200
_MOST_ROWS = 20_000

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


@define(eq=False)
class Rows:
    """Make each row once, when it is first asked for, and keep those asked for last.

    Attributes:
        ring: Where the events are.
        names: The agents' names, as far as they are known.
    """

    ring: Ring
    names: AgentNames
    # About 300 bytes each.
    _made: dict[int, bytes] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def at(self, positions: Sequence[int]) -> list[bytes]:
        """Give the rows of *positions*, which rise; without those whose event is gone, which are
        the first ones.
        """
        with self._lock:
            made = self._made
            missing = [position for position in positions if position not in made]
            for position, entry in self.ring.pick(missing):
                made[position] = self.row(position, entry)
            oldest = self.ring.oldest
            found = [made[position] for position in positions if position >= oldest]
            while len(made) > _MOST_ROWS:
                del made[next(iter(made))]
        return found

    def row(self, position: int | None, entry: Entry) -> bytes:
        """Make the row of an entry; *position* is None outside the ring."""
        event = entry.event
        did = event.agent_did
        values = (
            position,
            event.timestamp_ns // 1_000,
            event.event_type.value,
            _cut(did),
            _cut(self.names.of(did)) or None if did is not None else None,
            _cut(event.session_id),
            _cut(trace_of(event)),
            _cut(short_trace(event.causal_trace_id)),
            int(is_trouble(event)),
            summary(event)[:_MOST_CHARACTERS],
        )
        return _encode(values).encode()


def joined(rows: Iterable[bytes]) -> bytes:
    """Give rows as one JSON array."""
    return b"[" + b",".join(rows) + b"]"


def _cut(text: str | None) -> str | None:
    # Ids may have any length: a row is not the place for more.
    return text if text is None or len(text) <= _MOST_ID else text[:_MOST_ID]
