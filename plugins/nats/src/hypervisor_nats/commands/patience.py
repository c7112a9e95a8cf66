"""Ask a cluster that may be choosing a leader: it answers nothing that arrives meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypervisor_nats.following.server import Server
from hypervisor_nats.link import Link
from hypervisor_observability.errors import StreamUnavailableError

Result = TypeVar("Result")

_ATTEMPTS = 3
"""With the usual ``timeout_seconds`` longer than an election, which takes 4 to 9 seconds."""
_SECONDS = 60.0


def ask_patiently(link: Link, action: Callable[[Server], Awaitable[Result]]) -> Result:
    """Do something that may be done again; give what it gives.

    Raises:
        StreamUnavailableError: It cannot be done; the text says why.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return link.call(lambda _: action(Server(link)), _SECONDS)
        except StreamUnavailableError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
    return link.call(lambda _: action(Server(link)), _SECONDS)
