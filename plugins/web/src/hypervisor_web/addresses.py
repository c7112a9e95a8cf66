"""Where the page is served: the ports that will do, and the address as people open it."""

from collections.abc import Sequence
from urllib.parse import quote

from hypervisor_observability.config import Secret
from hypervisor_web.config import DEFAULT_PORT, WebConfig

_NEIGHBOURS = 32
"""So many ports behind the default one are tried where that is taken."""


def spare_ports(config: WebConfig) -> Sequence[int]:
    """Give the ports that will do as well: those behind the default one, which nobody has chosen,
    and then any.
    """
    if config.port != DEFAULT_PORT:
        return ()
    return [*range(DEFAULT_PORT + 1, DEFAULT_PORT + _NEIGHBOURS), 0]


def address(config: WebConfig, port: int, token: Secret) -> str:
    """Give the address of the page with the token, for whoever may see everything.

    The token stands behind "#": browsers do not send that part. It belongs into no log.

    Args:
        config: Where the page is served.
        port: The port that was bound.
        token: As ``site.token_for`` gives it.
    """
    return f"{config.url(port)}/#token={quote(token.reveal(), safe='')}"
