"""The far end of a plugin under test: a server on loopback that fails as a test says."""

import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, ClassVar, Self

from attrs import define, field

LOOPBACK = "127.0.0.1"
NAMELESS = "far-end.invalid"
"""A name of a host that is never given out (RFC 2606, section 2)."""
MAX_NAME_SECONDS = 60.0
"""Longest time that a look-up waits while names are not answered."""
MAX_KEPT = 100_000
"""Most requests or datagrams that a receiver keeps; later ones are only counted."""


class Fault(Enum):
    """What is wrong with a far end. The value completes "the far end ..."."""

    REFUSED = "refuses connections"
    SILENT = "takes the request and never answers"
    DRIPPING = "answers one byte at a time, without end"
    UNANSWERED = "takes the batch and closes the connection without an answer"
    ERROR = "answers with an error of its own, such as 500"
    BUSY = "asks to wait with Retry-After"
    REDIRECTED = "redirects to a page that answers 200, as a login does"
    UNNAMED = "has a name that no name server resolves or denies"


@define(eq=False)
class Receiver(ABC):
    """A far end on loopback; a context manager.

    Attributes:
        host: Where the plugin is to send. A name instead while ``Fault.UNNAMED`` is tested.
        port: A free port, from ``start`` on.
        fault: What is wrong with it now; None while it works.
        offered: How many requests or datagrams have arrived, refused ones included.
        faults: What it can do wrong.
    """

    host: str = field(default=LOOPBACK, init=False)
    port: int = field(default=0, init=False)
    fault: Fault | None = field(default=None, init=False)
    offered: int = field(default=0, init=False)
    changed: threading.Condition = field(factory=threading.Condition, init=False, repr=False)

    faults: ClassVar[frozenset[Fault]] = frozenset()

    @abstractmethod
    def start(self) -> None:
        """Listen on a free port of loopback.

        Raises:
            OSError: There is none.
        """

    @abstractmethod
    def stop(self) -> None:
        """Free the port, and end every connection and thread. What has arrived stays."""

    @abstractmethod
    def texts(self) -> Sequence[str]:
        """Give what was accepted, one text for each request or datagram, oldest first."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def change(self, fault: Fault | None) -> None:
        """Begin to fail in this way, or work again with None."""
        self.fault = fault

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Fail in one way until the block is left.

        Raises:
            ValueError: This receiver cannot fail in this way.
        """
        if fault not in self.faults:
            raise ValueError(f"{type(self).__name__} has no {fault}")
        self.change(fault)
        host = self.host
        try:
            if fault is Fault.UNNAMED:
                self.host = NAMELESS
                with unanswered_names():
                    yield
            else:
                yield
        finally:
            self.host = host
            self.change(None)

    def wait_for(self, arrived: Callable[[], object], timeout: float = 30.0) -> bool:
        """Wait until *arrived* is true; False if *timeout* seconds were too short."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not arrived():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.05))
        return True


@contextmanager
def unanswered_names() -> Iterator[None]:
    """Have ``socket.getaddrinfo`` wait for names below ``.invalid`` until the block is left."""
    resolve, ended = socket.getaddrinfo, threading.Event()

    def wait(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if not name.endswith(".invalid"):
            return resolve(host, *arguments, **named)
        ended.wait(MAX_NAME_SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    socket.getaddrinfo = wait
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
        ended.set()
