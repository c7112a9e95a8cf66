"""Messages of a partition that have come and wait for a reader: few, so that a slow one has few."""

import threading
from collections import deque

from attrs import define, field

from hypervisor_nats.following.digests import Message

_MAX_MESSAGES = 32
_MAX_BYTES = 4 * 1024 * 1024


@define(eq=False)
class Inbox:
    """Filled by the loop, emptied by one reader at a time."""

    _waiting: "deque[Message]" = field(factory=deque, init=False)
    _largest: int = field(default=1_024, init=False)
    # Counted by one thread each, so that neither needs a lock.
    _bytes_in: int = field(default=0, init=False)
    _bytes_out: int = field(default=0, init=False)
    _news: threading.Event = field(factory=threading.Event, init=False)

    def put(self, message: Message) -> None:
        """Take a message that has come."""
        self._largest = max(self._largest, len(message.data))
        self._bytes_in += len(message.data)
        self._waiting.append(message)
        self._news.set()

    def room(self) -> int:
        """Give how many messages may come at present."""
        held = self._bytes_in - self._bytes_out
        if len(self._waiting) > _MAX_MESSAGES // 2 or held > _MAX_BYTES // 2:
            return 0
        return max(1, min(_MAX_MESSAGES, (_MAX_BYTES - held) // self._largest))

    def first(self) -> Message | None:
        """Give the oldest one; it stays."""
        return self._waiting[0] if self._waiting else None

    def pop(self) -> None:
        """Let the oldest one go."""
        self._bytes_out += len(self._waiting.popleft().data)

    def clear(self) -> None:
        """Let all go. None may come meanwhile."""
        self._waiting.clear()
        self._bytes_in = self._bytes_out = 0

    def look(self) -> None:
        """Say that ``wait`` is for what comes from now on."""
        self._news.clear()

    def wait(self, seconds: float) -> None:
        """Wait until something has come since ``look``, *seconds* at most."""
        self._news.wait(seconds)
