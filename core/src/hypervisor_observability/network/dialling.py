"""Connections to a host that has several addresses, of which some may be dead.

An address that drops packets must not take the whole of the time, so each gets a share of it
(compare RFC 8305, which tries them side by side); one that failed is tried last next time.
"""

import socket
from collections.abc import Callable
from typing import TypeVar

from .deadline import Deadline
from .lookup import Address
from .routes import Routes

MAX_DIALS = 8
"""How many addresses are tried at once; the next try begins with the others."""

LOOKUP_SHARE = 1.25
"""The parts of a deadline of which one is the look-up's, as long as no address is known."""

Opened = TypeVar("Opened")


def dial(
    routes: Routes, deadline: Deadline, opened: Callable[[Address, Deadline], Opened]
) -> tuple[Address, Opened]:
    """Return the first address at which *opened* succeeded, and what it returned.

    Args:
        routes: The addresses.
        deadline: Of whatever the connection is for: as long as there are other addresses, each
            gets a share that leaves as much for that.
        opened: Opens something at an address, or raises ``OSError``.

    Raises:
        UnansweredError: The look-up was not answered in time.
        OSError: It failed at each address. The error is that of the last one.
    """
    addresses = routes.addresses(deadline.share(LOOKUP_SHARE))[:MAX_DIALS]
    error = OSError("the host has no address")
    for number, address in enumerate(addresses):
        others = len(addresses) - number - 1
        try:
            return address, opened(address, deadline.share(others + 2) if others else deadline)
        except OSError as failure:
            routes.avoid(address)
            error = failure
    raise error


def connect(address: Address, deadline: Deadline) -> socket.socket:
    """Return a connected TCP socket that sends immediately (``TCP_NODELAY``).

    Raises:
        OSError: The connection is refused, or (``TimeoutError``) not made in time.
    """
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(deadline.left())
        sock.connect(address.place)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock
