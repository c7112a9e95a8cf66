"""A small receiver of StatsD on loopback, for tests and demonstrations.

It is no server: it keeps what it counts, in memory, until it goes.
"""

import contextlib
import re
import socket
import threading
from collections import Counter

from attrs import define, field

_MAX_DATAGRAM_BYTES = 65_507
_POLL_SECONDS = 0.1
# A metric of DogStatsD's dialect: name:value|type|#label:value,label:value
_STATSD_LINE = re.compile(r"([^:|]+):([^|]+)\|([a-z]+)(?:\|#(.*))?")


@define(eq=False)
class StatsDReceiver:
    """Receive datagrams on a free UDP port between ``start`` and ``stop``.

    Attributes:
        datagrams: How many have arrived.
        unreadable: How many lines were no metrics.
    """

    datagrams: int = field(default=0, init=False)
    unreadable: int = field(default=0, init=False)
    # By name of the metric and the value of its first tag.
    _counters: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    _timers: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    _socket: socket.socket | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Bind the port.

        Raises:
            OSError: There is none.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_POLL_SECONDS)
        self._thread = threading.Thread(
            target=self._receive, args=(self._socket,), name="statsd-receiver", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Free the port. What was received stays."""
        receiving, self._socket = self._socket, None
        if receiving is not None and self._thread is not None:
            self._thread.join()
            receiving.close()

    @property
    def port(self) -> int:
        """The UDP port.

        Raises:
            RuntimeError: The receiver is not started.
        """
        if self._socket is None:
            raise RuntimeError("the receiver is not started")
        return int(self._socket.getsockname()[1])

    @property
    def timers(self) -> int:
        """How many durations have arrived."""
        return self._timers

    def counter(self, name: str) -> Counter[str]:
        """Give the totals of a counter, by the value of its first tag."""
        with self._changed:
            return Counter(
                {label: count for (of, label), count in self._counters.items() if of == name}
            )

    def wait_for(self, name: str, total: int, timers: int, *, timeout: float = 2.0) -> bool:
        """Wait until a counter's series sum up to *total*, and so many *timers* have come."""
        with self._changed:
            return self._changed.wait_for(
                lambda: (
                    self._timers >= timers
                    and sum(n for (of, _), n in self._counters.items() if of == name) >= total
                ),
                timeout,
            )

    def keep(self, datagram: bytes) -> None:
        """Take what one datagram says."""
        with self._changed:
            self.datagrams += 1
            for line in datagram.decode("ascii", "replace").splitlines():
                self._keep_line(line)
            self._changed.notify_all()

    def _keep_line(self, line: str) -> None:
        match = _STATSD_LINE.fullmatch(line)
        if match is None:
            self.unreadable += 1
            return
        name, value, kind, tags = match.groups()
        if kind == "c":
            label = (tags or "").partition(",")[0].partition(":")[2]
            self._counters[name, label] += round(float(value))
        elif kind == "ms":
            self._timers += 1

    def _receive(self, receiving: socket.socket) -> None:
        while self._socket is not None:
            with contextlib.suppress(TimeoutError):
                self.keep(receiving.recv(_MAX_DATAGRAM_BYTES))
