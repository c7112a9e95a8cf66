"""Send requests to an OTLP receiver over gRPC; needs the extra ``grpc``."""

import grpc
from attrs import define, field

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.network import LOOKUP_SHARE, Address, Deadline, Routes, connect, dial
from hypervisor_otel.answers import Accepted, understand
from hypervisor_otel.client_tls import PEMFiles, pem_files
from hypervisor_otel.connection import MAX_ANSWER_BYTES, ForbiddenAddress, routes_to
from hypervisor_otel.endpoint import Endpoint, parse_endpoint
from hypervisor_otel.grpc_status import refusal
from hypervisor_otel.headers import binary_value
from hypervisor_otel.request import Request
from hypervisor_otel.sending import PartSender


@define(eq=False)
class GRPCSender(PartSender):
    """Send to one receiver, over one channel. For one thread.

    Nothing is opened before the first request. Certificates are always verified, proxies of
    the environment are not used, and a request is tried once: the core offers it again. A
    channel leads to one address of the host; a node that does not answer, or asks to come
    again, is left for another address, if there is one, over a new channel.

    Attributes:
        settings: Where to, and how.
        logger: Where warnings go, at a limited rate.
        signal: What is sent.
        rejected: How many spans, data points or log records the receiver has refused in
            answers that accepted the others.
        limited_log: Writes to *logger*.

    Raises:
        ValueError: The endpoint is malformed, or a file of TLS holds something else.
        OSError: Such a file cannot be read.
    """

    _endpoint: Endpoint = field(init=False)
    _pem: PEMFiles | None = field(init=False)
    _routes: Routes = field(init=False)
    _address: Address | None = field(default=None, init=False)
    _channel: grpc.Channel | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._endpoint = parse_endpoint(self.settings.endpoint, "/")
        is_secure = self._endpoint.scheme == "https"
        self._pem = pem_files(self.settings) if is_secure else None
        self._routes = routes_to(self._endpoint, allow_link_local=self.settings.allow_link_local)

    @property
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""
        return self._endpoint.address.removesuffix("/")

    def probe(self) -> str:
        """Send a request that holds nothing, and say in a line who took it.

        Raises:
            RetryLater: As for :meth:`send`.
            Reject: As for :meth:`send`.
        """
        return super().probe().replace("OTLP at", "OTLP over gRPC at", 1)

    def close(self) -> None:
        """Close the channel. The next request opens another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def exchange(self, part: Request, deadline: Deadline) -> Accepted:
        """Call the receiver once."""
        headers, user_agent = self.headers()
        is_packed = self.settings.compression == "gzip"
        try:
            channel = self._channel or self._open(user_agent, deadline)
            export = channel.unary_unary(self.signal.method)
            body = export(
                part.body,
                timeout=deadline.left(),
                metadata=[_metadata(*header) for header in headers.items()],
                compression=grpc.Compression.Gzip if is_packed else None,
            )
        except grpc.RpcError as error:
            told = refusal(error, address=self.address)
            if isinstance(told, RetryLater) or _is_of_the_node(error):
                self._leave()
            raise told from None
        except ForbiddenAddress:
            msg = f"{self.address}: the host resolves to a link-local address"
            raise Reject(msg) from None
        except OSError as error:
            msg = f"{self.address} cannot be reached: {error.strerror or error}"
            raise RetryLater(msg) from None
        return understand(body)

    def _leave(self) -> None:
        # A new one looks the name up again, and does not wait as gRPC's own backoff would.
        if self._address is not None:
            self._routes.avoid(self._address)
            self._address = None
        self.close()

    def _open(self, user_agent: str, deadline: Deadline) -> grpc.Channel:
        self._address = self._reached(deadline)
        options = [
            ("grpc.default_authority", self._endpoint.authority),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.primary_user_agent", user_agent),
        ]
        target = _target(self._address)
        if self._pem is not None:
            pem = self._pem
            credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.chain)
            self._channel = grpc.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        return self._channel

    def _reached(self, deadline: Deadline) -> Address:
        """Give the address for a channel: gRPC itself would give a dead one 20 seconds.

        Where there are several, it is one that takes connections.
        """
        addresses = self._routes.addresses(deadline.share(LOOKUP_SHARE))
        if len(addresses) == 1:
            return addresses[0]
        address, probe = dial(self._routes, deadline, connect)
        probe.close()
        return address


def _target(address: Address) -> str:
    """Give the URI of *address* (gRPC, Name Resolution)."""
    host, port, *rest = address.place
    if ":" not in str(host):
        return f"ipv4:{host}:{port}"
    zone = f"%25{rest[-1]}" if rest and rest[-1] else ""
    return f"ipv6:[{host}{zone}]:{port}"


def _is_of_the_node(error: grpc.RpcError) -> bool:
    """Whether a refusal says something of the node rather than of the request."""
    code = error.code() if isinstance(error, grpc.Call) else None
    return code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}


def _metadata(name: str, value: str) -> tuple[str, str | bytes]:
    """Give a header as gRPC takes it, which tells by the name what it has to encode itself."""
    name = name.lower()
    return name, binary_value(value) if name.endswith("-bin") else value
