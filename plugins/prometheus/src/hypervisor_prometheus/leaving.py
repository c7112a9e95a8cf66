"""Metrics that are left behind by a job that ends before anybody scrapes it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from prometheus_client.exposition import push_to_gateway

from hypervisor_observability.atomic_file import replace_file
from hypervisor_prometheus.rendering import Collect, Renderer, as_registry


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
        timeout: Seconds.

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


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: the metrics go where they were meant to go."""


def _request(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """Make a request as prometheus_client wants it made, without proxies of the environment."""
    request = Request(url, data=data, headers=dict(headers), method=method)  # noqa: S310 - the library has seen to http and https
    opener = build_opener(ProxyHandler({}), _NoRedirects())

    def send() -> None:
        # Whatever is no success is raised, as an HTTPError.
        opener.open(request, timeout=timeout).close()

    return send
