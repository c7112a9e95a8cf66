"""The addresses of a host: looked up in a thread of its own, so that nobody waits for long."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

MAX_ADDRESSES = 2
"""How many of a name's addresses are tried, such as those of IPv6 and of IPv4."""

_WAIT_SECONDS = 1.5


@frozen
class Address:
    """Where to connect to.

    Attributes:
        family: Of the socket.
        place: What ``connect`` takes.
    """

    family: socket.AddressFamily
    place: tuple[str | int, ...]


Resolve = Callable[[str, int, socket.SocketKind], Sequence[Address]]
"""Look up host and port for a kind of socket. May take its time, and raise ``OSError``."""


def system_addresses(host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """Ask the system.

    Raises:
        OSError: It knows no such host, or cannot tell at present.
        UnicodeError: That can be no name of a host.
    """
    # A text address has a string in front; bytes come from systems without IPv6 alone.
    return [
        Address(family, (str(place[0]), *place[1:]))
        for family, _, _, _, place in socket.getaddrinfo(host, port, type=kind)
    ]


@define(eq=False)
class _Answer:
    ready: threading.Event = field(factory=threading.Event)
    addresses: Sequence[Address] = ()
    error: str = ""


@define(eq=False)
class Lookup:
    """Look a host up, and again from time to time.

    Attributes:
        host: Name or address. An address is taken as it is.
        port: Of the server.
        kind: Of the socket.
        resolve: How a name is looked up.
        lookup_seconds: Time for which an answer is good.
        wait_seconds: Longest time for which an answer is waited for; what comes later is
            there for who asks next.
    """

    host: str
    port: int
    kind: socket.SocketKind
    resolve: Resolve = system_addresses
    lookup_seconds: float = 60.0
    wait_seconds: float = _WAIT_SECONDS
    _pending: _Answer | None = field(default=None, init=False)
    _known: Sequence[Address] = field(default=(), init=False)
    _good_until: float = field(default=0.0, init=False)
    _unreachable: bool = field(default=False, init=False)
    _is_address: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_address = is_address(self.host)

    def addresses(self) -> Sequence[Address]:
        """Give the addresses: those of the last answer, while there is no other.

        Raises:
            OSError: There are none, or no answer has come in time.
        """
        if self._is_address:
            # The system makes it what sockets take; that is done in no time, and stays so.
            self._known = self._known or self.resolve(self.host, self.port, self.kind)
        elif self._pending is not None or time.monotonic() >= self._good_until:
            self._ask()
        return self._known

    def look_again(self) -> None:
        """Have the name looked up anew: nobody could be reached where it leads."""
        self._unreachable = True
        self._good_until = 0

    def _ask(self) -> None:
        if self._pending is None:
            self._pending = self._question()
        # Who can send goes on doing so meanwhile.
        patient = self._unreachable or not self._known
        if not self._pending.ready.wait(self.wait_seconds if patient else 0):
            if self._known:
                return
            raise TimeoutError(f"no answer within {self.wait_seconds:g} s to where {self.host} is")
        answer, self._pending = self._pending, None
        self._good_until = time.monotonic() + self.lookup_seconds
        self._unreachable = False
        if answer.addresses:
            self._known = answer.addresses
        elif not self._known:
            self._good_until = 0
            raise OSError(answer.error)

    def _question(self) -> _Answer:
        answer = _Answer()
        thread = threading.Thread(
            target=self._look_up, args=(answer,), name="hvobs-statsd-lookup", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system refuses a thread
            answer.error = str(error)
            answer.ready.set()
        return answer

    def _look_up(self, answer: _Answer) -> None:
        try:
            found = self.resolve(self.host, self.port, self.kind)
            answer.addresses = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
            answer.error = "the name has no address"
        except OSError as error:
            answer.error = error.strerror or str(error)
        except Exception as error:  # noqa: BLE001 - a name that can be none, or a resolver's fault
            answer.error = f"{type(error).__name__}: {error}"
        finally:
            answer.ready.set()


def is_address(host: str) -> bool:
    """Whether *host* is no name, but an address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
