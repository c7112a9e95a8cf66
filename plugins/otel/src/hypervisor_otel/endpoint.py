"""Where OTLP is sent to: a URL, checked and taken apart."""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

TRACES_PATH = "/v1/traces"
"""The path of a trace receiver (OTLP specification 1.x, OTLP/HTTP Request)."""

METRICS_PATH = "/v1/metrics"
"""The path of a receiver of metrics (the same)."""

LOGS_PATH = "/v1/logs"
"""The path of a receiver of logs (the same)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE_ASCII = re.compile(r"[!-~]+")
# RFC 6874, section 2, without the characters that would have to be escaped.
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")

# Where Amazon's machines answer with their credentials over IPv6; 169.254.169.254 is
# link-local as it stands.
_IPV6_METADATA = ipaddress.ip_address("fd00:ec2::254")


@frozen
class Endpoint:
    """A checked endpoint.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an IP address, without brackets; behind an IPv6 address may stand its
            zone, with a bare ``%``.
        port: From 1 to 65535.
        path: Starts with a slash.
        query: What stands behind the question mark. It may be a secret, so it is not shown.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = field(default="", repr=False)

    @property
    def target(self) -> str:
        """What the request line asks for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def server_name(self) -> str:
        """The host as the server knows it: a zone means something on this machine alone."""
        return self.host.partition("%")[0]

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: the Host header."""
        return self._with_port(self.server_name)

    @property
    def address(self) -> str:
        """The URL without its query, for messages."""
        return f"{self.scheme}://{self._with_port(self.host.replace('%', '%25'))}{self.path}"

    def _with_port(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_endpoint(text: str, path: str = TRACES_PATH) -> Endpoint:
    """Take the URL *text* apart.

    *path* is appended where the URL has no path (or only a slash); any other path is taken as
    it stands.

    Raises:
        ValueError: It is no http or https URL with a host, its port is out of range, or it
            has user information or a fragment. The message shows no secret part of it.
    """
    if not _VISIBLE_ASCII.fullmatch(text):
        msg = (
            "expected a URL such as http://127.0.0.1:4318, got one that is empty or has blanks, "
            "control characters or letters beyond ASCII (write host names in xn-- form)"
        )
        raise ValueError(msg)
    parts, port = _split(text)
    if parts.scheme not in _DEFAULT_PORTS:
        msg = "expected a URL that starts with http:// or https://"
        raise ValueError(msg)
    if "@" in parts.netloc:
        msg = "expected a URL without user information; put credentials into 'headers'"
        raise ValueError(msg)
    if not parts.hostname:
        msg = "expected a URL with a host, such as http://127.0.0.1:4318"
        raise ValueError(msg)
    if port == 0:
        msg = "expected a port from 1 to 65535, got 0"
        raise ValueError(msg)
    if parts.fragment:
        msg = "expected a URL without a fragment ('#...')"
        raise ValueError(msg)
    path = path if parts.path in {"", "/"} else parts.path
    return Endpoint(
        parts.scheme,
        _without_escapes(parts.hostname),
        _DEFAULT_PORTS[parts.scheme] if port is None else port,
        path,
        parts.query,
    )


def _without_escapes(host: str) -> str:
    """Give *host* with the zone of an IPv6 address as the system knows it (RFC 6874)."""
    address, percent, zone = host.partition("%")
    if not percent:
        return host
    # Some write the sign as it is, which only a URL's grammar forbids.
    zone = unquote(zone.removeprefix("25"))
    if ":" not in address or not _ZONE.fullmatch(zone):
        msg = "expected a host without '%', but for an IPv6 address such as [fe80::1%25eth0]"
        raise ValueError(msg)
    return f"{address}%{zone}"


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
    except ValueError:
        # What urlsplit says quotes the URL.
        msg = "expected a URL such as http://127.0.0.1:4318, got a malformed host"
        raise ValueError(msg) from None
    try:
        return parts, parts.port
    except ValueError:
        msg = "expected a port from 1 to 65535"
        raise ValueError(msg) from None


def is_link_local(host: str) -> bool:
    """Whether *host* is a literal address that only this link or machine answers.

    Such addresses are where clouds hand out credentials. Understands the short and the
    numeric spellings of IPv4 addresses that resolvers take. A name is none: what it
    resolves to is looked at when it is connected to.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address == _IPV6_METADATA
