"""How a plugin reaches its server: names, addresses and sockets, under one deadline.

A hook that waits for longer than its time counts as hung, and the system's own waits know no
deadline: a resolver takes half a minute where the name server is silent, a connection two minutes
where packets are dropped, and a socket's timeout begins again with every byte. Whatever is used
from here takes a :class:`Deadline`, and has raised ``TimeoutError`` when it has passed.
"""

from .deadline import Deadline
from .deadline_socket import DeadlineSocket
from .dialling import LOOKUP_SHARE, connect, dial
from .lookup import Address, Lookup, Resolve, UnansweredError, is_address, system_addresses
from .routes import Routes

__all__ = [
    "LOOKUP_SHARE",
    "Address",
    "Deadline",
    "DeadlineSocket",
    "Lookup",
    "Resolve",
    "Routes",
    "UnansweredError",
    "connect",
    "dial",
    "is_address",
    "system_addresses",
]
