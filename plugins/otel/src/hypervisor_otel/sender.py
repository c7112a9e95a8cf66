"""Send requests to an OTLP receiver over http/protobuf."""

import gzip
import http.client
import logging
import time
from collections.abc import Mapping
from typing import Protocol

from attrs import define, field
from google.protobuf.message import Message

from hypervisor_observability import __version__
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.limited_log import LimitedLog
from hypervisor_otel.answers import PROTOBUF, Accepted, judge
from hypervisor_otel.client_tls import TLSFiles, client_context
from hypervisor_otel.connection import Connection, ForbiddenAddress
from hypervisor_otel.endpoint import parse_endpoint
from hypervisor_otel.signals import TRACES, Signal

# Level 6, zlib's own default, is twice as slow for 3 % less on a batch of spans.
_GZIP_LEVEL = 4


class SenderSettings(TLSFiles, Protocol):
    """What a sender reads of a plugin's config class; :class:`OTelConfig` says what it means."""

    @property
    def endpoint(self) -> str:
        """URL of an OTLP receiver."""

    @property
    def headers(self) -> Mapping[str, Secret]:
        """Further headers."""

    @property
    def timeout_seconds(self) -> float:
        """Longest time for one request."""

    @property
    def compression(self) -> str:
        """``none`` or ``gzip``."""

    @property
    def allow_link_local(self) -> bool:
        """Whether link-local addresses may be connected to."""


@define(eq=False)
class OTLPSender:
    """Send to one receiver, over one kept-alive connection. For one thread.

    Nothing is opened before the first request. Certificates are always verified.

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

    settings: SenderSettings
    logger: logging.Logger = field(factory=lambda: logging.getLogger("hypervisor_otel"))
    signal: Signal = TRACES
    rejected: int = field(default=0, init=False)
    limited_log: LimitedLog = field(init=False)
    _connection: Connection = field(init=False)

    def __attrs_post_init__(self) -> None:
        endpoint = parse_endpoint(self.settings.endpoint, self.signal.path)
        tls = client_context(self.settings) if endpoint.scheme == "https" else None
        self._connection = Connection(endpoint, tls, self.settings.allow_link_local)
        self.limited_log = LimitedLog(self.logger.name)

    @property
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""
        return self._connection.endpoint.address

    @property
    def rejected_spans(self) -> int:
        """``rejected``, where spans are sent."""
        return self.rejected

    def send(self, request: Message) -> None:
        """Send *request*; returning means that the receiver has it.

        Where the receiver refuses some spans of several (partial success), that is logged and
        counted in ``rejected``, since the batch cannot be offered again without
        repeating the others.

        Raises:
            RetryLater: The receiver could not be reached, did not answer in time or with what
                is no HTTP, or asked to come again (429, 502, 503, 504).
            Reject: It refused the request, all its spans, or pointed elsewhere.
        """
        body = request.SerializeToString()
        headers = {name: value.reveal() for name, value in self.settings.headers.items()}
        headers["User-Agent"] = f"hypervisor-otel/{__version__}"
        headers["Content-Type"] = PROTOBUF
        if self.settings.compression == "gzip":
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        note_answer(self, self._post(body, headers), self.signal.count(request))

    def probe(self) -> str:
        """Send a request that holds nothing, and say in a line who took it.

        Raises:
            RetryLater: As for :meth:`send`.
            Reject: As for :meth:`send`.
        """
        self.send(self.signal.empty())
        return f"OTLP at {self.address}"

    def close(self) -> None:
        """Close the connection. The next request opens another."""
        self._connection.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Accepted:
        timeout_seconds = self.settings.timeout_seconds
        try:
            answer = self._connection.post(body, headers, timeout_seconds=timeout_seconds)
        except ForbiddenAddress:
            msg = f"{self.address}: the host resolves to a link-local address"
            raise Reject(msg) from None
        except TimeoutError:
            msg = f"{self.address} did not answer within {timeout_seconds:g} s"
            raise RetryLater(msg) from None
        except http.client.HTTPException as error:
            # RemoteDisconnected is an OSError too, and its text reads well.
            reason = str(error) if isinstance(error, OSError) else "its answer is no whole HTTP"
            msg = f"{self.address}: {reason}"
            raise RetryLater(msg) from None
        except OSError as error:
            msg = f"{self.address} cannot be reached: {error.strerror or error}"
            raise RetryLater(msg) from None
        return judge(answer, address=self.address, now_seconds=time.time())


class Refused(Protocol):
    """What a sender of whatever kind has to note a partial success in."""

    signal: Signal
    rejected: int
    limited_log: LimitedLog

    @property
    def address(self) -> str:
        """Where requests go."""


def note_answer(sender: Refused, accepted: Accepted, sent: int) -> None:
    """Count and log what the receiver of *sender* said about a request of *sent* items.

    Raises:
        Reject: It refused all of them.
    """
    address, items = sender.address, sender.signal.items
    reason = accepted.message or "no reason given"
    if accepted.rejected and accepted.rejected >= sent:
        msg = f"{address} refused all {sent} {items}: {reason}"
        raise Reject(msg)
    if accepted.rejected:
        sender.rejected += accepted.rejected
        sender.limited_log.warning(
            "partial", "%s refused %d of %d %s: %s", address, accepted.rejected, sent, items, reason
        )
    elif accepted.message:
        sender.limited_log.warning("said", "%s accepts, and says: %s", address, accepted.message)
    elif not accepted.is_understood:
        sender.limited_log.warning(
            "odd", "%s accepts, but its answer is not that of an OTLP receiver", address
        )
