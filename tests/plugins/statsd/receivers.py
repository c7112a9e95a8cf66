"""A UDP socket that keeps what it gets."""

import socket

from attrs import define

ABOUT_ITSELF = "agent_hypervisor_observability_statsd_"


@define(eq=False)
class Receiver:
    """A loopback socket; what was sent to it before is there at once."""

    socket: socket.socket

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def datagrams(self) -> list[str]:
        """Everything that has come since the last call."""
        received = []
        self.socket.setblocking(False)
        while True:
            try:
                received.append(self.socket.recv(65_536).decode("ascii"))
            except BlockingIOError:
                return received

    def lines(self) -> list[str]:
        """Every line that has come since the last call, but those that tell of losses."""
        lines = [line for datagram in self.datagrams() for line in datagram.split("\n")]
        return [line for line in lines if ABOUT_ITSELF not in line]
