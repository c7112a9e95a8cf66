"""Names of hosts that lead where a test says, when it says so."""

import socket
import threading
from collections.abc import Sequence

from attrs import define, field

from hypervisor_observability.network import Address

WIDE_SECONDS = 60


def at(host: str, port: int = 8125) -> Address:
    """Give the address of a number such as ``127.0.0.1`` or ``::1``."""
    return Address(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))


@define(eq=False)
class Names:
    """A resolver that answers as a test says, when it says so.

    Attributes:
        answer: The addresses, or what is raised.
        open: Set while it answers.
        asked_in: The names of the threads that have asked.
    """

    answer: Sequence[Address] | Exception = ()
    open: threading.Event = field(factory=threading.Event)
    asked_in: list[str] = field(factory=list)

    def __call__(self, host: str, port: int, kind: socket.SocketKind) -> Sequence[Address]:
        self.asked_in.append(threading.current_thread().name)
        assert self.open.wait(WIDE_SECONDS)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
