"""Jaeger's query API over HTTP: the traces of one deployment, read back."""

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import field, frozen

from hypervisor_jaeger.links import checked_ui_url
from hypervisor_observability.config.secret import Secret
from hypervisor_observability.network import Deadline, UnansweredError
from hypervisor_otel import Answer, Connection, ForbiddenAddress, client_context, parse_endpoint

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""How much of an answer is read. A trace of 100,000 spans has about 50 MiB."""

JsonObject = dict[str, Any]


class QueryError(RuntimeError):
    """Jaeger cannot be asked, or does not have what it was asked for."""


@frozen
class QueryAPI:
    """What serves Jaeger's user interface, asked for its data.

    Redirects are not followed and proxies not used; certificates are verified.

    Attributes:
        url: Where the user interface is, with its base path if it has one.
        headers: Further headers of each request, such as a token.
        timeout_seconds: Longest time for one question, from looking the host's name up to the
            last byte of the answer.
        ca_file: Certificates (PEM) to trust instead of the system's, for https.
        cert_file: The certificate (PEM) that is shown to a server that asks for one.
        key_file: Its private key (PEM, unencrypted).
        allow_link_local: Whether the host may be a link-local address.
    """

    url: str
    headers: Mapping[str, Secret] = field(factory=dict, kw_only=True)
    timeout_seconds: float = field(default=10.0, kw_only=True)
    ca_file: Path | None = field(default=None, kw_only=True)
    cert_file: Path | None = field(default=None, kw_only=True)
    key_file: Path | None = field(default=None, kw_only=True)
    allow_link_local: bool = field(default=True, kw_only=True)

    def services(self) -> list[str]:
        """Give the names of all services.

        Raises:
            QueryError: Jaeger does not answer so.
        """
        return sorted(str(name) for name in self._data("/api/services"))

    def operations(self, service: str) -> list[str]:
        """Give the operations of *service*.

        Raises:
            QueryError: Jaeger does not answer so.
        """
        return sorted(
            str(name) for name in self._data(f"/api/services/{quote(service, safe='')}/operations")
        )

    def trace(self, trace_id: str) -> JsonObject:
        """Give the trace of the 32 digits *trace_id*, in Jaeger's own JSON.

        Raises:
            QueryError: Jaeger does not have it, or does not answer so.
        """
        traces = self._data(f"/api/traces/{trace_id}")
        if not traces:
            msg = f"{self.url} has no trace {trace_id}"
            raise QueryError(msg)
        trace = traces[0]
        if not isinstance(trace, dict) or not isinstance(trace.get("spans"), list):
            raise self._odd()
        return trace

    def _data(self, path: str) -> list[Any]:
        status, body = self._get(path)
        if status == 404 and path.startswith("/api/traces/"):
            return []
        if status != 200:
            msg = f"{self.url} answered {status} to {path}"
            raise QueryError(msg)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise self._odd() from None
        data = answer.get("data") if isinstance(answer, dict) else None
        if data is None:
            return []  # Jaeger's own way to say that there is none
        if not isinstance(data, list):
            raise self._odd()
        return data

    def _odd(self) -> QueryError:
        return QueryError(f"{self.url} answers otherwise than Jaeger does; is 'ui_url' right?")

    def _get(self, path: str) -> tuple[int, bytes]:
        headers = {name: value.reveal() for name, value in self.headers.items()}
        target = parse_endpoint(checked_ui_url(self.url), "").path + path
        deadline = Deadline.after(self.timeout_seconds)
        connection = self._connection()
        try:
            answer = connection.ask(
                "GET", target, deadline, headers=headers, max_bytes=MAX_ANSWER_BYTES
            )
        except (OSError, http.client.HTTPException, ForbiddenAddress) as error:
            msg = f"{self.url} cannot be asked: {self._reason(error)}"
            raise QueryError(msg) from None
        finally:
            connection.close()
        return answer.status, self._whole(answer)

    def _connection(self) -> Connection:
        endpoint = parse_endpoint(checked_ui_url(self.url), "")
        try:
            tls = client_context(self) if endpoint.scheme == "https" else None
        except (OSError, ValueError) as error:
            raise QueryError(f"{error}") from None
        return Connection(endpoint, tls, self.allow_link_local)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) and not isinstance(error, UnansweredError):
            return f"no whole answer within {self.timeout_seconds:g} s"
        if isinstance(error, ForbiddenAddress):
            return "the host is a link-local address, or resolves to one"
        return str(error) or type(error).__name__

    def _whole(self, answer: Answer) -> bytes:
        if not answer.is_whole:
            msg = f"{self.url}: an answer of more than {MAX_ANSWER_BYTES} bytes"
            raise QueryError(msg)
        return answer.body
