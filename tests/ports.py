"""Ports of the loopback interface."""

import contextlib
import socket
from pathlib import Path


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a port that nothing listens on at this moment."""
    (port,) = free_ports(1, kind)
    return port


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Give so many ports, each another, that nothing listens on at this moment."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def takes_datagrams(port: int) -> bool:
    """Whether a UDP socket of this machine is bound to *port*, asked without touching it."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()
