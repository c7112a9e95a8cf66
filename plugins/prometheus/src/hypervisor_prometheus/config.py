"""The table ``[plugins.prometheus]``, and which hosts are loopback ones."""

import ipaddress

import attrs
from attrs import field, frozen
from attrs.validators import and_, ge, le

DEFAULT_PORT = 9464
"""The port of OpenTelemetry's Prometheus exporters (SDK environment variables)."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach *host*: ``localhost`` or such an address.

    Other names are not looked up, so they are not loopback, and nor is an empty one, which
    stands for all interfaces.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@frozen
class PrometheusConfig:
    """Where the metrics are served.

    Attributes:
        host: Address or name of the interface; a loopback one unless *allow_remote*.
        port: TCP port; 0 has the system pick a free one.
        allow_remote: Whether other machines may read the metrics.
    """

    host: str = field(default="127.0.0.1")
    port: int = field(default=DEFAULT_PORT, validator=and_(ge(0), le(65_535)))
    allow_remote: bool = False

    @host.validator
    def _check_host(self, _attribute: "attrs.Attribute[str]", host: str) -> None:
        # attrs validates when every field is set, so that the switch can be asked.
        if not self.allow_remote and not is_loopback(host):
            raise ValueError(
                f"expected a loopback address such as '127.0.0.1', got {host!r}"
                " (allow_remote = true lets other machines read the metrics)"
            )
