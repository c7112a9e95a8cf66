"""How many events wait in a partition, counted from the heads of its messages alone.

The bodies stay at the server: a reader that is far behind still knows what it is behind by.
What stands in a head is not proven. Readers are told to expect it: see ``_promised``.
"""

import asyncio
import contextlib
import threading
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping

from attrs import define, field
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from hypervisor_journal.format.frames import RECORD_BYTES
from hypervisor_nats.following.pull import Pull, delivered_of
from hypervisor_nats.following.server import Server
from hypervisor_nats.messages import StrangeMessageError, head_of
from hypervisor_nats.names import subjects_of_partition

_SIZE_HEADER = "Nats-Msg-Size"
_PULLED = 500
_MAX_RUNS = 10_000
_LOOK_SECONDS = 0.002
_INACTIVE_SECONDS = 30


@define(eq=False)
class Backlog:
    """The heads of a partition, from a message on.

    Attributes:
        server: What is asked.
        partition: Its number.
        start: Sequence number in the stream of the first message that is counted.
        pull: Where they come from.
    """

    server: Server
    partition: int
    start: int
    pull: Pull = field(init=False)
    # 16 bytes for each message that a reader is behind.
    _sequences: "array[int]" = field(factory=lambda: array("Q"), init=False)
    _totals: "array[int]" = field(factory=lambda: array("Q"), init=False)
    """Events up to and including each message, counted from the start."""
    _trimmed: int = field(default=0, init=False)
    """Events before the first message."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _known: "OrderedDict[str, int]" = field(factory=OrderedDict, init=False)

    def __attrs_post_init__(self) -> None:
        config = self.server.link.config
        self.pull = Pull(
            server=self.server,
            config={
                "filter_subject": subjects_of_partition(config.subject, self.partition),
                "ack_policy": "none",
                "headers_only": True,
                "mem_storage": True,
                "num_replicas": 1,
                "inactive_threshold": int(_INACTIVE_SECONDS * 1e9),
            },
            name=None,
            next=self.start,
            take=self._take,
            room=lambda: _PULLED,
        )

    def know(self, numbers: Mapping[str, int]) -> None:
        """Take how far runs were read before *start*."""
        self._known.update(numbers)

    def after(self, sequence: int) -> int:
        """Give how many events are known to be in messages behind *sequence*."""
        with self._lock:
            if not self._totals:
                return 0
            place = bisect_right(self._sequences, sequence)
            return self._totals[-1] - (self._totals[place - 1] if place else self._trimmed)

    async def counts_all(self, seconds: float) -> bool:
        """Wait until all that is in the partition now is counted; tell whether it is.

        Args:
            seconds: Longest time.

        Raises:
            NatsError: The server does not answer.
        """
        until, target = time.monotonic() + seconds, None
        while time.monotonic() < until:
            consumer = self.pull.consumer
            if consumer is None:
                target = None
            elif target is None or target[0] != consumer:
                with contextlib.suppress(NotFoundError):  # it is being recreated
                    target = (consumer, sum(await delivered_of(self.server, consumer)))
            elif self.pull.count >= target[1]:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    def trim(self, sequence: int) -> None:
        """Forget the messages up to *sequence*: every reader has them."""
        with self._lock:
            place = bisect_right(self._sequences, sequence)
            if place > _PULLED:
                self._trimmed = self._totals[place - 1]
                del self._sequences[:place], self._totals[:place]

    def _take(self, message: Msg, sequence: int) -> None:
        promised = self._promised(message)
        with self._lock:
            total = self._totals[-1] if self._totals else self._trimmed
            self._sequences.append(sequence)
            self._totals.append(total + promised)

    def _promised(self, message: Msg) -> int:
        """Give how many events a message brings, if its head is true."""
        try:
            head = head_of(message.subject, message.headers)
            size = int((message.headers or {}).get(_SIZE_HEADER, "0"))
        except (StrangeMessageError, ValueError):
            return 0
        known = self._known.get(head.run, head.first)
        self._known[head.run] = max(known, head.next)
        self._known.move_to_end(head.run)
        if len(self._known) > _MAX_RUNS:
            self._known.popitem(last=False)
        # No record has fewer bytes; a number that is higher is no account of events.
        return max(0, min(head.count, head.next - max(head.first, known), size // RECORD_BYTES))
