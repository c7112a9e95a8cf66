"""What the fake backend can do with a request."""

import os
import socket
import struct
import time
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from tests.plugins.otel.spans import PROTOBUF

Behaviour = Callable[[socket.socket], None]


def partial_success(rejected: int, message: str = "") -> bytes:
    """Give the body of an answer that refuses so many spans."""
    said = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return ExportTraceServiceResponse(partial_success=said).SerializeToString()


def sending(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


def answering(status: int, body: bytes = b"", *headers: str, kind: str = PROTOBUF) -> Behaviour:
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return sending("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def closing(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def resetting(connection: socket.socket) -> None:
    # A socket that lingers for no time is closed by a reset (socket(7), SO_LINGER). The
    # duplicate has to go too: the system resets when the last descriptor is closed.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def hanging(connection: socket.socket) -> None:
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    for _ in range(200):
        connection.sendall(b"H")
        time.sleep(0.05)
