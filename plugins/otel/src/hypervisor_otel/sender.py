"""Send requests to an OTLP receiver over http/protobuf."""

import gzip
import http.client
import time

from attrs import define, field

from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.network import Deadline, UnansweredError
from hypervisor_otel.answers import PROTOBUF, Accepted, BrokenOff, judge
from hypervisor_otel.client_tls import client_context
from hypervisor_otel.connection import Answer, Connection, ForbiddenAddress
from hypervisor_otel.endpoint import parse_endpoint
from hypervisor_otel.request import Request
from hypervisor_otel.sending import PartSender, SenderSettings

__all__ = ["OTLPSender", "SenderSettings"]

# Level 6, zlib's own default, is twice as slow for 3 % less on a batch of spans.
_GZIP_LEVEL = 4

# Beside those from 500: what a node says of itself, or of the connection, not of the request.
_BAD_NODE = frozenset({408, 421, 429})


@define(eq=False)
class OTLPSender(PartSender):
    """Send to one receiver, over one kept-alive connection. For one thread.

    Nothing is opened before the first request. Certificates are always verified. A node that
    does not answer, or asks to come again, is left: the next request opens another connection,
    to another address of the host if there is one.

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

    _connection: Connection = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        endpoint = parse_endpoint(self.settings.endpoint, self.signal.path)
        tls = client_context(self.settings) if endpoint.scheme == "https" else None
        self._connection = Connection(endpoint, tls, self.settings.allow_link_local)

    @property
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""
        return self._connection.endpoint.address

    @property
    def rejected_spans(self) -> int:
        """``rejected``, where spans are sent."""
        return self.rejected

    def close(self) -> None:
        """Close the connection. The next request opens another."""
        self._connection.close()

    def exchange(self, part: Request, deadline: Deadline) -> Accepted:
        """Post one request; 429, 502, 503 and 504 ask to come again, 413 for less."""
        answer = self._post(part.body, deadline)
        if answer.status in _BAD_NODE or answer.status >= 500:
            self._connection.leave()
        return judge(answer, address=self.address, now_seconds=time.time())

    def _post(self, body: bytes, deadline: Deadline) -> Answer:
        theirs, user_agent = self.headers()
        headers = {**theirs, "User-Agent": user_agent, "Content-Type": PROTOBUF}
        if self.settings.compression == "gzip":
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        target = self._connection.endpoint.target
        try:
            return self._connection.ask("POST", target, deadline, headers=headers, body=body)
        except ForbiddenAddress:
            msg = f"{self.address}: the host resolves to a link-local address"
            raise Reject(msg) from None
        except UnansweredError as error:
            msg = f"{self.address} cannot be reached: {error}"
            raise RetryLater(msg) from None
        except TimeoutError:
            raise self._later(self.late()) from None
        except http.client.HTTPException as error:
            # RemoteDisconnected is an OSError too, and its text reads well.
            reason = str(error) if isinstance(error, OSError) else "its answer is no whole HTTP"
            raise self._later(f"{self.address}: {reason}") from None
        except OSError as error:
            msg = f"{self.address} cannot be reached: {error.strerror or error}"
            raise self._later(msg) from None

    def _later(self, reason: str) -> RetryLater:
        return BrokenOff(reason) if self._connection.began else RetryLater(reason)
