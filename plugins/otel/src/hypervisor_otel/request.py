"""A request as it is sent, whatever carries it."""

from attrs import frozen
from google.protobuf.message import Message

from hypervisor_otel.signals import Signal


@frozen
class Request:
    """A request of OTLP.

    Attributes:
        body: In protobuf.
        count: How many spans, data points or log records it holds.
    """

    body: bytes
    count: int

    @classmethod
    def of(cls, message: Message, signal: Signal) -> "Request":
        """Give the request that *message* is."""
        return cls(message.SerializeToString(), signal.count(message))

    def message(self, signal: Signal) -> Message:
        """Give it as the official message, to be taken apart."""
        return signal.parse(self.body)
