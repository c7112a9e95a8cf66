"""The addresses of a host, looked up beside whoever asks, so that nobody waits for long.

No resolver of a system takes a deadline. A name is therefore looked up in a thread of its own; a
look-up that hangs holds that one thread, however often and from wherever its name is asked for.
"""

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from ..text.error_text import line_of, reason_of
from .deadline import Deadline

MAX_ADDRESSES = 64
"""How many addresses of a name are kept."""

WAIT_SECONDS = 1.5
"""How long an answer is waited for, unless told otherwise, and where others are known anyway."""


class UnansweredError(TimeoutError):
    """The look-up of a host was not answered in time."""


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
"""Looks up host and port for a kind of socket. It may take long, and raise ``OSError``."""


def system_addresses(host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """Ask the system.

    Raises:
        OSError: It knows no such host, or cannot tell at present.
        UnicodeError: *host* cannot be the name of a host.
    """
    # A text address has a string in front; bytes come from systems without IPv6 alone.
    return [
        Address(family, (str(place[0]), *place[1:]))
        for family, _, _, _, place in socket.getaddrinfo(host, port, type=kind)
    ]


@define(eq=False)
class _Question:
    """A look-up that runs, or has ended."""

    ready: threading.Event = field(factory=threading.Event)
    asked_at: float = field(factory=time.monotonic)
    addresses: Sequence[Address] = ()
    error: str = ""

    def end(self, resolve: Callable[[], Sequence[Address]]) -> None:
        try:
            self.addresses = tuple(dict.fromkeys(resolve()))[:MAX_ADDRESSES]
            self.error = "the name has no address"
        except OSError as error:
            self.error = reason_of(error)
        except Exception as error:  # noqa: BLE001 - a name that can be none, or a resolver's fault
            self.error = line_of(error)


_Key = tuple[int, str, int, socket.SocketKind, int]
# What is being looked up now, for all that ask in this process. Of a parent's, whose threads a
# fork's child does not have, the child's key differs.
_RUNNING: dict[_Key, _Question] = {}


@define(eq=False)
class Lookup:
    """Look a host up, and again from time to time. For one thread.

    Attributes:
        host: Name or address. An address is taken as it is.
        port: Of the server.
        kind: Of the socket.
        resolve: How a name is looked up.
        lookup_seconds: Time for which an answer is good.
        wait_seconds: Longest wait for a first answer. A later answer serves the next call.
    """

    host: str
    port: int
    kind: socket.SocketKind = socket.SOCK_STREAM
    resolve: Resolve = system_addresses
    lookup_seconds: float = 60.0
    wait_seconds: float = WAIT_SECONDS
    _pending: _Question | None = field(default=None, init=False)
    _pid: int = field(factory=os.getpid, init=False)
    _known: Sequence[Address] = field(default=(), init=False)
    _good_until: float = field(default=0.0, init=False)
    _unreachable: bool = field(default=False, init=False)
    _is_address: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_address = is_address(self.host)

    def addresses(self, deadline: Deadline | None = None) -> Sequence[Address]:
        """Return the addresses: those of the last answer, until there is a newer one.

        Args:
            deadline: When the caller stops waiting, if that is before ``wait_seconds``.

        Raises:
            UnansweredError: No answer has come in time.
            OSError: There are none.
        """
        if self._is_address:
            # The system makes it what sockets take; that is done in no time, and stays so.
            self._known = self._known or self.resolve(self.host, self.port, self.kind)
        elif self._pending is not None or time.monotonic() >= self._good_until:
            seconds = self.wait_seconds
            patience = Deadline.after(min(seconds, WAIT_SECONDS) if self._known else seconds)
            if deadline is not None and deadline.at < patience.at:
                patience = deadline
            self._ask(patience)
        return self._known

    def look_again(self) -> None:
        """Look the name up again, because none of its addresses could be reached."""
        self._unreachable = True
        self._good_until = 0

    def _ask(self, patience: Deadline) -> None:
        began = time.monotonic()
        # Who can send goes on doing so meanwhile.
        patient = self._unreachable or not self._known
        while True:
            answer = self._answer(patience if patient else None)
            if answer is None:
                if self._known:
                    return
                seconds = patience.at - began
                raise UnansweredError(f"no answer within {seconds:.2g} s to where {self.host} is")
            if answer.addresses:
                self._known = answer.addresses
            if self._known:
                self._good_until = time.monotonic() + self.lookup_seconds
                self._unreachable = False
                return
            # What was asked for by an earlier try says little of now.
            if answer.asked_at >= began:
                raise OSError(answer.error)

    def _answer(self, patience: Deadline | None) -> _Question | None:
        """Give what has come of the question, which is asked if it was not; None: nothing yet."""
        if self._pending is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._pending = self._asked()
        seconds = 0.0 if patience is None else max(0.0, patience.at - time.monotonic())
        if not self._pending.ready.wait(seconds):
            return None
        answer, self._pending = self._pending, None
        return answer

    def _asked(self) -> _Question:
        key = (os.getpid(), self.host, self.port, self.kind, id(self.resolve))
        own = _Question()
        running = _RUNNING.setdefault(key, own)
        if running is not own:
            return running
        thread = threading.Thread(
            target=self._look_up, args=(key, own), name="hvobs-lookup", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system refuses a thread
            _RUNNING.pop(key, None)
            own.error = str(error)
            own.ready.set()
        return own

    def _look_up(self, key: _Key, question: _Question) -> None:
        resolve, host, port, kind = self.resolve, self.host, self.port, self.kind
        try:
            question.end(lambda: resolve(host, port, kind))
        finally:
            _RUNNING.pop(key, None)
            question.ready.set()


def is_address(host: str) -> bool:
    """Whether *host* is an address rather than a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
