"""Ids that come twice: the same event once more, or another one that was given its id."""

import re
from collections.abc import Sequence

from ..bus.log import Reading
from ..bus.stream import EventStream
from ..events import ids
from ..events.event import HypervisorEvent, raw_event_id, raw_payload
from ..text.limited_log import LimitedLog

REMEMBERED_EVENTS = 8_192
"""Of as many events at least, the newest, ids are remembered."""

_OF_OURS = re.compile(r"[0-9a-f]{16}")
_FIELDS = ("event_type", "session_id", "agent_did", "causal_trace_id", "parent_event_id")

Key = int | str


class WatchedStream:
    """A stream that notices, when events are read from it, which ids came before.

    Whoever emits pays nothing for it. All events are handed on: which of two is the right one,
    nobody here can say.

    Args:
        stream: What is read, by one reader from its first event on.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._log = LimitedLog(__name__)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything, in a fork's child."""
        self.duplicates = 0
        """Events that came before, as they are."""
        self.conflicts = 0
        """Events that have the id of another one, and are not it."""
        self._watched_to = 0
        # Position by id. When the newer ones are many, they become the older ones.
        self._newer: dict[Key, int] = {}
        self._older: dict[Key, int] = {}

    @property
    def bounds(self) -> tuple[int, int]:
        """As the stream has them."""
        return self._stream.bounds

    def read(self, position: int, max_events: int) -> Reading:
        """Read as from the stream."""
        reading = self._stream.read(position, max_events)
        # What is read once more was looked at the first time.
        start = max(reading.position, self._watched_to)
        if start < reading.next_position:
            self._watch(reading.events[start - reading.position :], start)
            self._watched_to = reading.next_position
        return reading

    def _watch(self, events: Sequence[HypervisorEvent], start: int) -> None:
        # Every event of the process comes by here: no loop in Python but for odd ids.
        keys: list[Key] = list(map(raw_event_id, events))
        if str in set(map(type, keys)):
            keys = [_key(key) for key in keys]
        newer, older = self._newer, self._older
        if not (
            len(set(keys)) == len(keys)
            and newer.keys().isdisjoint(keys)
            and older.keys().isdisjoint(keys)
        ):
            self._tell_repeats(events, keys, start)
        newer.update(zip(keys, range(start, start + len(keys)), strict=True))
        if len(newer) >= REMEMBERED_EVENTS:
            self._older, self._newer = newer, {}

    def _tell_repeats(
        self, events: Sequence[HypervisorEvent], keys: Sequence[Key], start: int
    ) -> None:
        known = {**self._older, **self._newer}
        for position, (key, event) in enumerate(zip(keys, events, strict=True), start):
            before = known.get(key)
            known[key] = position
            if before is None:
                continue
            if self._is_the_same(event, before):
                self.duplicates += 1
                message = "event %s came twice"
            else:
                self.conflicts += 1
                message = "two events that differ have the id %s"
            self._log.warning(message, message, event.event_id)

    def _is_the_same(self, event: HypervisorEvent, position: int) -> bool:
        """Compare with what stands at *position*; what is gone counts as the same."""
        reading = self._stream.read(position, 1)
        if reading.position != position or not reading.events:
            return True
        earlier = reading.events[0]
        return (
            # Beyond microseconds a time does not survive `to_dict()`.
            event.timestamp_ns // 1_000 == earlier.timestamp_ns // 1_000
            and all(getattr(event, name) == getattr(earlier, name) for name in _FIELDS)
            and bool(raw_payload(event) == raw_payload(earlier))
        )


def _key(raw: Key) -> Key:
    """Give the number that an id was drawn as, read or not; other ids as they are."""
    if isinstance(raw, str) and _OF_OURS.fullmatch(raw):
        return ids.event_id_number(raw)
    return raw
