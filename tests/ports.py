"""Ports of the loopback interface.

The system gives ports of its own range to whoever connects, or binds port 0: one of those that is
free now may be taken a moment later. The ports given here lie outside that range, and a lock keeps
each to the process that was given it, so that nobody takes it before the server of a test does.
"""

import os
import random
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

_LOWEST = 10_240
_RANGE_OF_SYSTEM = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a port that nothing listens on, and nothing but the caller will."""
    (port,) = free_ports(1, kind)
    return port


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Give so many ports, each another, that nothing listens on, and nothing but the caller will.

    :raises OSError: There are not so many.
    """
    ports = list(islice((port for port in _candidates() if _is_free(port, kind)), count))
    if len(ports) < count:
        raise OSError(f"no {count} free ports below those that the system gives")
    return ports


def takes_datagrams(port: int) -> bool:
    """Whether a UDP socket of this machine is bound to *port*, asked without touching it."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


def _candidates() -> Iterator[int]:
    try:
        end = int(_RANGE_OF_SYSTEM.read_text().split()[0])
    except OSError:
        end = 32_768  # of Linux; other systems begin at 49152
    ports = range(_LOWEST, end)
    start = random.SystemRandom().randrange(len(ports))
    yield from ports[start:]
    yield from ports[:start]


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    return port not in _given and _is_unbound(port, kind) and _lock(port)


def _is_unbound(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _lock(port: int) -> bool:
    if not _lock_between_processes(port):
        return False
    _given.add(port)
    return True


if sys.platform == "win32":

    def _lock_between_processes(_port: int) -> bool:
        return True

else:
    import fcntl

    @cache
    def _locks() -> int:
        """Open the file in which the byte at the number of a port is locked by the process that was
        given it, until that ends.
        """
        path = Path(tempfile.gettempdir()) / f"ports-of-tests-{os.getuid()}.lock"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _lock_between_processes(port: int) -> bool:
        try:
            fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True
