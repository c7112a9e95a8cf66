"""Entries: what an appender writes, made outside its lock: admitted, encoded, salted.

Invariants:

* Each entry is a tuple of its own, even of an event that is emitted twice: whoever is interrupted
  knows by its identity whether it was written.
* Writing an entry twice in the same place gives the same bytes: nothing is drawn any more.
"""

import json
import os
import time
from collections.abc import Callable, Mapping

from hypervisor_journal.format.encoding import EventEncoder
from hypervisor_journal.format.frames import DIGEST_BYTES, EVENT, MAX_PART_BYTES, NOTE, SALT_BYTES
from hypervisor_observability.events.event import HypervisorEvent, raw_timestamp
from hypervisor_observability.threads.interruptions import is_from_handler

_SALTS = 512

Then = Callable[[HypervisorEvent], object]

Entry = tuple[HypervisorEvent | None, Then, int, int, bytes, bytes | None, bytes]
"""Event, whom to tell of it, kind, time in nanoseconds, salt, head, payload. Without a head it is
an event that cannot be written: it takes a number, and counts as lost."""

BLANK = b" " * DIGEST_BYTES
"""The payload of a record that has none."""


class EntryMaker:
    """Makes entries of events. It may be used from many threads, and interrupted anywhere.

    Args:
        admit: Takes from an event what may not be written.
        tell: Told why an event cannot be written.
    """

    def __init__(
        self,
        admit: Callable[[HypervisorEvent], HypervisorEvent] | None,
        tell: Callable[[str], object],
    ) -> None:
        self.admit = admit
        self._parts_of = EventEncoder().parts_of
        self._tell = tell
        self._salts: list[bytes] = []

    def of_event(self, event: HypervisorEvent, then: Then) -> Entry:
        """Make the entry of *event*; never raises on account of the event."""
        try:
            admit = self.admit
            head, payload = self._parts_of(event if admit is None else admit(event))
            if len(head) > MAX_PART_BYTES or len(payload) > MAX_PART_BYTES:
                raise ValueError("larger than a record may be")
            salts = self._salts
            salt = salts.pop() if salts else self._draw_salt()
        except Exception as error:
            if is_from_handler(error):
                raise
            self._tell(f"an event cannot be written: {error}")
            return event, then, EVENT, 0, b"", None, b""
        return event, then, EVENT, raw_timestamp(event), salt, head, payload

    def of_note(self, values: Mapping[str, str | float]) -> Entry:
        """Make the entry of a note.

        Raises:
            TypeError: JSON has no form for a value.
        """
        head = json.dumps(values).encode()
        return None, _nobody, NOTE, time.time_ns(), os.urandom(SALT_BYTES), head, BLANK

    def begin_anew_after_fork(self) -> None:
        """Draw other salts than the parent."""
        self._salts = []

    def _draw_salt(self) -> bytes:
        drawn = os.urandom(SALT_BYTES * _SALTS)
        salts = [drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)]
        salt = salts.pop()
        self._salts = salts
        return salt


_nobody: Then = id
"""Told of what is no event. A function in C: nothing interrupts it."""
