"""Which hosts are loopback ones."""

import ipaddress


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
