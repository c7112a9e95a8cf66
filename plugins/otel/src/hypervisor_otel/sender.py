"""Send requests to an OTLP receiver over http/protobuf."""

import gzip
import http.client
import logging
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from attrs import define, field
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hypervisor_observability import __version__
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.errors import Reject, RetryLater
from hypervisor_observability.limited_log import LimitedLog
from hypervisor_otel.answers import PROTOBUF, Accepted, judge
from hypervisor_otel.connection import Connection, ForbiddenAddress
from hypervisor_otel.endpoint import parse_endpoint

# Level 6, zlib's own default, is twice as slow for 3 % less on a batch of spans.
_GZIP_LEVEL = 4


class SenderSettings(Protocol):
    """What a sender reads of a plugin's config class; :class:`OTelConfig` says what it means."""

    @property
    def endpoint(self) -> str:
        """URL of an OTLP/HTTP receiver."""

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
    def ca_file(self) -> Path | None:
        """Certificates to trust instead of the system's."""

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
        rejected_spans: How many spans the receiver has refused in answers that accepted the
            others.

    Raises:
        ValueError: The endpoint is malformed, or ``ca_file`` holds no certificates.
        OSError: ``ca_file`` cannot be read.
    """

    settings: SenderSettings
    logger: logging.Logger = field(factory=lambda: logging.getLogger("hypervisor_otel"))
    rejected_spans: int = field(default=0, init=False)
    _connection: Connection = field(init=False)
    _log: LimitedLog = field(init=False)

    def __attrs_post_init__(self) -> None:
        endpoint = parse_endpoint(self.settings.endpoint)
        tls = _trust(self.settings.ca_file) if endpoint.scheme == "https" else None
        self._connection = Connection(endpoint, tls, self.settings.allow_link_local)
        self._log = LimitedLog(self.logger.name)

    @property
    def address(self) -> str:
        """Where requests go, without a query, which may be a secret."""
        return self._connection.endpoint.address

    def send(self, request: ExportTraceServiceRequest) -> None:
        """Send *request*; returning means that the receiver has it.

        Where the receiver refuses some spans of several (partial success), that is logged and
        counted in ``rejected_spans``, since the batch cannot be offered again without
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
        self._note(self._post(body, headers), _span_count(request))

    def probe(self) -> str:
        """Send a request without spans, and say in a line who took it.

        Raises:
            RetryLater: As for :meth:`send`.
            Reject: As for :meth:`send`.
        """
        self.send(ExportTraceServiceRequest())
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

    def _note(self, accepted: Accepted, sent: int) -> None:
        reason = accepted.message or "no reason given"
        if accepted.rejected_spans and accepted.rejected_spans >= sent:
            msg = f"{self.address} refused all {sent} spans: {reason}"
            raise Reject(msg)
        if accepted.rejected_spans:
            self.rejected_spans += accepted.rejected_spans
            self._log.warning(
                "partial",
                "%s refused %d of %d spans: %s",
                self.address,
                accepted.rejected_spans,
                sent,
                reason,
            )
        elif accepted.message:
            self._log.warning("said", "%s accepts, and says: %s", self.address, accepted.message)
        elif not accepted.is_understood:
            self._log.warning(
                "odd", "%s accepts, but its answer is not that of an OTLP receiver", self.address
            )


def _span_count(request: ExportTraceServiceRequest) -> int:
    return sum(
        len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans
    )


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        msg = f"ca_file: expected certificates in PEM form in {ca_file}"
        raise ValueError(msg) from None
    except OSError as error:
        msg = f"ca_file: cannot read {ca_file}: {error.strerror}"
        raise OSError(msg) from None
