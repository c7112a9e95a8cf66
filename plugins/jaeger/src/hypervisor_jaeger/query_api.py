"""Jaeger's query API over HTTP: the traces of one deployment, read back."""

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from hypervisor_jaeger.links import checked_ui_url
from hypervisor_observability.config.secret import Secret

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
        timeout_seconds: Longest time for one operation of the socket.
        ca_file: Certificates (PEM) to trust instead of the system's, for https.
    """

    url: str
    headers: Mapping[str, Secret] = field(factory=dict, kw_only=True)
    timeout_seconds: float = field(default=10.0, kw_only=True)
    ca_file: Path | None = field(default=None, kw_only=True)

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
        parts = urlsplit(checked_ui_url(self.url))
        assert parts.hostname is not None, "checked"  # noqa: S101 - for mypy
        timeout = self.timeout_seconds
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            tls = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=tls
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        headers = {name: value.reveal() for name, value in self.headers.items()}
        try:
            connection.request("GET", parts.path + path, headers=headers)
            response = connection.getresponse()
            body = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            msg = f"{self.url} cannot be asked: {said}"
            raise QueryError(msg) from None
        finally:
            connection.close()
        if len(body) > MAX_ANSWER_BYTES:
            msg = f"{self.url}: an answer of more than {MAX_ANSWER_BYTES} bytes"
            raise QueryError(msg)
        return response.status, body
