"""Which sender carries a signal: over HTTP, or over gRPC where that is asked for."""

import logging
from typing import Protocol

from google.protobuf.message import Message

from hypervisor_otel.config import OTelConfig
from hypervisor_otel.request import Request
from hypervisor_otel.sender import OTLPSender
from hypervisor_otel.signals import LOGS, METRICS, SIGNALS, TRACES, Signal
from hypervisor_otel.variables import GRPC

_BY_NAME = {signal.name: signal for signal in SIGNALS}


class Sender(Protocol):
    """What the plugin needs of a sender."""

    @property
    def rejected(self) -> int:
        """What the receiver refused in answers that accepted the rest."""

    def send(self, request: Message | Request) -> None:
        """Send *request*, be it written already or not.

        Raises:
            RetryLater: It may be taken later.
            Reject: It will not be.
        """

    def probe(self) -> str:
        """Send a request that holds nothing, and say who took it."""

    def close(self) -> None:
        """Close the connection."""


def make_senders(config: OTelConfig, logger: logging.Logger) -> dict[str, Sender]:
    """Make a sender for each signal of *config*, by name. Nothing is opened.

    Raises:
        ValueError: A file of TLS holds something else.
        OSError: Such a file cannot be read.
        RuntimeError: gRPC is asked for and not installed.
    """
    endpoints = {
        TRACES.name: config.endpoint,
        METRICS.name: config.metrics_endpoint,
        LOGS.name: config.logs_endpoint,
    }
    return {
        name: make_sender(config.towards(endpoints[name]), logger, _BY_NAME[name])
        for name in dict.fromkeys(config.signals)
    }


def make_sender(config: OTelConfig, logger: logging.Logger, signal: Signal) -> Sender:
    """Make the sender of *signal*, to ``config.endpoint``.

    Raises:
        ValueError: A file of TLS holds something else.
        OSError: Such a file cannot be read.
        RuntimeError: gRPC is asked for and not installed.
    """
    if config.protocol != GRPC:
        return OTLPSender(config, logger, signal)
    try:
        # Here, since it needs the extra.
        from hypervisor_otel.grpc_sender import GRPCSender
    except ImportError as error:
        msg = f"protocol = 'grpc' needs the extra hypervisor-otel[grpc] ({error})"
        raise RuntimeError(msg) from error
    return GRPCSender(config, logger, signal)
