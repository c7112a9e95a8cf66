"""The keys that all servers have in their plugin's table."""

from pathlib import Path
from typing import ClassVar

import attrs
from attrs import field, frozen
from attrs.validators import and_, ge, le

from ..config import optional_absolute_path
from .hosts import Hosts, check_host_name
from .loopback import is_loopback

_NO_FILE: Path | None = None  # annotated for the validator's type
_NO_NAMES: tuple[str, ...] = ()
_SHOWN = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to show, not to bind


def port_field(default: int) -> int:
    """Give the field ``port`` of a plugin whose servers have a port of their own."""
    ports = and_(ge(0), le(65_535))
    made: int = field(default=default, validator=ports)
    return made


@frozen(kw_only=True)
class ServerSettings:
    """Where a server listens, under which names, and how it shows who it is.

    Attributes:
        others: What *allow_remote* lets other machines do; for messages.
        host: Address or name of the interface; a loopback one unless *allow_remote*.
        port: TCP port; 0 has the system pick a free one.
        allow_remote: Whether other machines may be answered.
        hosts: Names that are answered to beside loopback ones; empty: *host*, or any name where
            that stands for all interfaces.
        tls_certificate: PEM file with the server's certificate and those between it and the
            authority's; https alone is then served.
        tls_key: PEM file with its key.
        tls_client_authority: PEM file with the authority of clients: those without a
            certificate of its are refused.
    """

    others: ClassVar[str] = "read this"

    host: str = field(default="127.0.0.1")
    port: int = port_field(0)
    allow_remote: bool = False
    hosts: tuple[str, ...] = field(default=_NO_NAMES)
    tls_certificate: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    tls_key: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    tls_client_authority: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)

    @host.validator
    def _check_host(self, _attribute: "attrs.Attribute[str]", host: str) -> None:
        # attrs validates when every field is set, so that the switch can be asked.
        if not self.allow_remote and not is_loopback(host):
            raise ValueError(
                f"expected a loopback address such as '127.0.0.1', got {host!r}"
                f" (allow_remote = true lets other machines {self.others})"
            )

    @hosts.validator
    def _check_names(self, _: "attrs.Attribute[tuple[str, ...]]", names: tuple[str, ...]) -> None:
        for name in names:
            check_host_name(name)
        if names and not self.allow_remote:
            raise ValueError(
                f"other names than those of this machine let other machines {self.others}:"
                " set allow_remote = true too"
            )

    @tls_certificate.validator
    @tls_key.validator
    def _check_pair(self, _: "attrs.Attribute[Path | None]", _file: Path | None) -> None:
        if (self.tls_key is None) != (self.tls_certificate is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or neither")

    @tls_client_authority.validator
    def _check_authority(self, _: "attrs.Attribute[Path | None]", file: Path | None) -> None:
        if file is not None and self.tls_certificate is None:
            raise ValueError("tls_client_authority needs tls_certificate and tls_key")

    @property
    def names(self) -> Hosts:
        """The names that are answered to."""
        return Hosts.of(self.host, self.hosts)

    def url(self, port: int) -> str:
        """Give the address of the server, as this machine reaches it, without a path.

        Args:
            port: The one that was bound.
        """
        scheme = "http" if self.tls_certificate is None else "https"
        return f"{scheme}://{authority(_SHOWN.get(self.host, self.host), port)}"


def authority(host: str, port: int) -> str:
    """Give *host* and *port* as a URL names them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
