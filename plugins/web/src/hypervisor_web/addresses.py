"""Where the page is served: the port that can be had, and the address as people open it."""

import errno
import socket
from collections.abc import Callable

from hypervisor_observability.serving.server import SiteServer
from hypervisor_web.config import DEFAULT_PORT

_NEIGHBOURS = 32
"""So many ports behind the default one are tried where that is taken."""

Bind = Callable[[int], SiteServer]
"""Makes the server on a port; raises ``OSError`` where it cannot be had."""


def bound(port: int, bind: Bind, *, insist: bool) -> SiteServer:
    """Make the server on *port*, or on a free one behind it.

    Args:
        port: The port that is wanted.
        bind: Makes the server.
        insist: Whether no other port will do.

    Raises:
        OSError: No port can be had.
    """
    tried = [port] if insist or port == 0 else [*range(port, port + _NEIGHBOURS), 0]
    for one in tried[:-1]:
        try:
            return bind(one)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return bind(tried[-1])


def is_default(port: int) -> bool:
    """Tell whether *port* was not chosen by anybody, so that a neighbour will do as well."""
    return port == DEFAULT_PORT


def advice(error: OSError) -> str:
    """Say why an address cannot be had, and what would help; it stands behind the address."""
    if error.errno == errno.EADDRINUSE:
        return "is in use: set another port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return "is not for this user: set a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "is no address of this machine: set its host to one"
    return f"cannot be had: {error.strerror or error}"
