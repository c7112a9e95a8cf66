"""Metrics that are left behind by a job that ends before anybody scrapes it."""

import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from prometheus_client.exposition import push_to_gateway

from hypervisor_observability.files.atomic_file import replace_file
from hypervisor_observability.network import Deadline, Lookup, Routes
from hypervisor_observability.network.http_connection import DeadlineHTTPConnection
from hypervisor_prometheus.rendering import Collect, Renderer, as_registry

_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_SECONDS = 30.0


def write_textfile(collect: Collect, file: Path) -> None:
    """Write the metrics to *file*, whole or not at all, in text format 0.0.4.

    For the textfile collector of a node exporter, which reads ``*.prom``.

    Args:
        collect: Gives the metrics.
        file: A regular file or nothing yet; its folder must be there.

    Raises:
        OSError: It cannot be written; it is then what it was.
    """
    _, text = Renderer(collect).render("")
    # The node exporter runs as a user of its own.
    replace_file(file, text, sync=True, mode=0o644, make_folder=False)


def push(
    collect: Collect,
    gateway: str,
    *,
    job: str,
    grouping: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> None:
    """Push the metrics to a Pushgateway, in place of what their group had there.

    Args:
        collect: Gives the metrics.
        gateway: Its URL.
        job: The label ``job``.
        grouping: Further labels of the group; give each of several processes one of its own.
        timeout: Seconds for all of it, from looking the host's name up to the answer.

    Raises:
        OSError: It cannot be reached, or refuses.
    """
    push_to_gateway(
        gateway,
        job,
        as_registry(collect),
        grouping_key=dict(grouping or {}),
        timeout=timeout,
        handler=_request,
    )


def _request(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """Make a request as prometheus_client wants it made, without proxies, and under a deadline."""

    def send() -> None:
        seconds = _DEFAULT_SECONDS if timeout is None else timeout
        connection, target = _connection(url, seconds)
        try:
            connection.request(method, target, data, dict(headers))
            answer = connection.getresponse()
        except HTTPException as error:
            raise OSError(f"its answer is no HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        # Redirects are not followed: the metrics go where they were meant to go.
        if not 200 <= answer.status < 300:
            raise HTTPError(url, answer.status, answer.reason, answer.headers, None)

    return send


def _connection(url: str, seconds: float) -> tuple[DeadlineHTTPConnection, str]:
    """Give a connection to the host of *url*, not opened yet, and what to ask for there."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        msg = f"expected an http or https URL with a host, got one of the scheme {parts.scheme!r}"
        raise ValueError(msg)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    routes = Routes(Lookup(parts.hostname, port, wait_seconds=seconds))
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    return DeadlineHTTPConnection(routes, Deadline.after(seconds), tls), parts.path
