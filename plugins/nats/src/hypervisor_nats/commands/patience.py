"""Asks a cluster that may be electing a leader: it does not answer requests meanwhile."""

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
    """Do *action*, and repeat it after a timeout; it must be safe to repeat.

    Raises:
        StreamUnavailableError: It failed; the text says why.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return link.call(lambda _: action(Server(link)), _SECONDS)
        except StreamUnavailableError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
    return link.call(lambda _: action(Server(link)), _SECONDS)
