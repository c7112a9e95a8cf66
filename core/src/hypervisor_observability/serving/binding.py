"""A server as its plugin's table asks for it, and what to say where it cannot be had."""

import errno
import socket
from collections.abc import Sequence

from .loopback import is_loopback
from .server import SiteServer
from .settings import ServerSettings, authority
from .site import Site
from .tls import server_context


def bind(
    settings: ServerSettings, site: Site, keys: str, spare_ports: Sequence[int] = ()
) -> SiteServer:
    """Bind the port, and read the certificate; nothing is answered before ``start``.

    Args:
        settings: Where, and how.
        site: What is served.
        keys: What the messages put before a key, such as ``plugins.web.``.
        spare_ports: Tried one after the other where the port of the settings is in use.

    Raises:
        OSError: The address cannot be had, or a file cannot be used; with what to do.
    """
    tls = server_context(settings, keys)

    def bound(port: int) -> SiteServer:
        try:
            return SiteServer(settings.host, port, site, tls)
        except OSError as error:
            raise OSError(f"{authority(settings.host, port)} {_advice(error, keys)}") from error

    *others, last = settings.port, *spare_ports
    for port in others:
        try:
            return bound(port)
        except OSError as error:
            if not _is_in_use(error.__cause__):
                raise
    return bound(last)


def warn_of_others(settings: ServerSettings, server: SiteServer) -> None:
    """Log what keeps nobody out, where other machines can reach the server."""
    lacking = []
    if settings.tls_certificate is None:
        lacking.append("unencrypted")
    if not server.site.credentials.are_asked_for and settings.tls_client_authority is None:
        lacking.append("without a password")
    if lacking and not is_loopback(settings.host):
        server.site.logger.warning(
            "other machines can %s at %s, %s",
            settings.others,
            authority(settings.host, server.server_port),
            " and ".join(lacking),
        )


def _is_in_use(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def _advice(error: OSError, keys: str) -> str:
    if _is_in_use(error):
        return f"is in use: set {keys}port to another port, or to 0 for any free one"
    if error.errno == errno.EACCES:
        return f"is not for this user: set {keys}port to one above 1023"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"is no address of this machine: set {keys}host to one"
    return f"cannot be had: {error.strerror or error}"
