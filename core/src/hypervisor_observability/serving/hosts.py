"""The names under which a server answers (RFC 9110, section 7.2)."""

import ipaddress
import re
from collections.abc import Iterable

from attrs import field, frozen

from .loopback import is_loopback

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*))(?::[0-9]*)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?", re.ASCII)


def host_of(header: str) -> str:
    """Give the name or address of a header ``Host``, without port and brackets, in small letters.

    Raises:
        ValueError: The header could be read in two ways, or in none.
    """
    found = _HOST.fullmatch(header)
    if found is None:
        raise ValueError("a header Host is a name or an address, and perhaps a port")
    return _plain(found[1] or found[2])


def check_host_name(name: str) -> None:
    """Refuse what no header ``Host`` would name.

    Raises:
        ValueError: It is neither a name nor an address.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"expected names or addresses without scheme and port, such as"
                f" 'agents.example', got {name!r}"
            ) from None


def is_wildcard(host: str) -> bool:
    """Tell whether *host* stands for all interfaces."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _plain(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().removesuffix(".")


def _all_plain(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(map(_plain, names))


@frozen
class Hosts:
    """Names that are answered to; loopback ones always are.

    A page in a browser may have pointed a name of its own at this machine: the browser then
    takes the server for a part of that page, and the header ``Host`` alone tells.

    Attributes:
        names: The others, in small letters; None: any.
    """

    names: frozenset[str] | None = field(default=frozenset(), converter=_all_plain)

    @classmethod
    def of(cls, bound: str, names: Iterable[str]) -> "Hosts":
        """Give the names for a server that binds *bound*: *names*, or else *bound* itself.

        A wildcard has no name of its own, so that any will do where there are no *names*.
        """
        listed = frozenset(names)
        return cls(listed or (None if is_wildcard(bound) else frozenset({bound})))

    def admit(self, host: str) -> bool:
        """Tell whether *host*, as ``host_of`` gives it, is answered to."""
        return self.names is None or host in self.names or is_loopback(host)
