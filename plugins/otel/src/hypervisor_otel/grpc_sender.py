"""Send requests to an OTLP receiver over gRPC; needs the extra ``grpc``."""

import logging
import socket

import grpc
from attrs import define, field
from google.protobuf.message import Message

from hypervisor_observability import __version__
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.limited_log import LimitedLog
from hypervisor_otel.answers import understand
from hypervisor_otel.client_tls import PEMFiles, pem_files
from hypervisor_otel.connection import MAX_ANSWER_BYTES
from hypervisor_otel.endpoint import Endpoint, is_link_local, parse_endpoint
from hypervisor_otel.grpc_status import refusal
from hypervisor_otel.sender import SenderSettings, note_answer
from hypervisor_otel.signals import TRACES, Signal


@define(eq=False)
class GRPCSender:
    """Send to one receiver, over one channel. For one thread.

    Nothing is opened before the first request. Certificates are always verified, proxies of
    the environment are not used, and a request is tried once: the core offers it again.

    Attributes:
        settings: Where to, and how.
        logger: Where warnings go, at a limited rate.
        signal: What is sent.
        rejected: How many spans, data points or log records the receiver has refused in
            answers that accepted the others.

    Raises:
        ValueError: The endpoint is malformed, or a file of TLS holds something else.
        OSError: Such a file cannot be read.
    """

    settings: SenderSettings
    logger: logging.Logger = field(factory=lambda: logging.getLogger("hypervisor_otel"))
    signal: Signal = TRACES
    rejected: int = field(default=0, init=False)
    limited_log: LimitedLog = field(init=False)
    _endpoint: Endpoint = field(init=False)
    _pem: PEMFiles | None = field(init=False)
    _channel: grpc.Channel | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._endpoint = parse_endpoint(self.settings.endpoint, "/")
        is_secure = self._endpoint.scheme == "https"
        self._pem = pem_files(self.settings) if is_secure else None
        self.limited_log = LimitedLog(self.logger.name)

    @property
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""
        return self._endpoint.address.removesuffix("/")

    def send(self, request: Message) -> None:
        """Send *request*; returning means that the receiver has it.

        Raises:
            RetryLater: The receiver could not be reached, did not answer in time, or asked to
                come again.
            Reject: It refused the request, or all that it holds.
        """
        channel = self._channel or self._open()
        export = channel.unary_unary(self.signal.method, request_serializer=_serialized)
        timeout_seconds = self.settings.timeout_seconds
        headers = self.settings.headers.items()
        is_packed = self.settings.compression == "gzip"
        try:
            body = export(
                request,
                timeout=timeout_seconds,
                metadata=[(name.lower(), value.reveal()) for name, value in headers],
                compression=grpc.Compression.Gzip if is_packed else None,
            )
        except grpc.RpcError as error:
            raise self._told(error) from None
        note_answer(self, understand(body), self.signal.count(request))

    def probe(self) -> str:
        """Send a request that holds nothing, and say in a line who took it.

        Raises:
            RetryLater: As for :meth:`send`.
            Reject: As for :meth:`send`.
        """
        self.send(self.signal.empty())
        return f"OTLP over gRPC at {self.address}"

    def close(self) -> None:
        """Close the channel. The next request opens another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _told(self, error: grpc.RpcError) -> Exception:
        told = refusal(error, address=self.address)
        if isinstance(told, RetryLater):
            # A new one looks the name up again, and does not wait as gRPC's own backoff would.
            self.close()
        return told

    def _open(self) -> grpc.Channel:
        host, port = self._endpoint.host, self._endpoint.port
        if not self.settings.allow_link_local:
            self._refuse_link_local(host, port)
        target = f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"
        options = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.primary_user_agent", f"hypervisor-otel/{__version__}"),
        ]
        if self._pem is not None:
            pem = self._pem
            credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.chain)
            self._channel = grpc.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        return self._channel

    def _refuse_link_local(self, host: str, port: int) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            msg = f"{self.address} cannot be reached: {error.strerror or error}"
            raise RetryLater(msg) from None
        if any(is_link_local(str(row[4][0])) for row in found):
            msg = f"{self.address}: the host resolves to a link-local address"
            raise Reject(msg)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
