"""The table ``[plugins.web]``."""

import attrs
from attrs import field, frozen
from attrs.validators import and_, ge, le

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.loopback import is_loopback

DEFAULT_PORT = 9478

_MIB = 1024 * 1024
_NO_SECRET: Secret | None = None  # annotated for the validator's type


@frozen
class WebConfig:
    """Where the page is served, and to whom.

    Attributes:
        host: Address or name of the interface; a loopback one unless *allow_remote*.
        port: TCP port; 0 has the system pick a free one.
        allow_remote: Whether other machines may see the page.
        token: What a viewer has to show, of 16 characters or more; drawn at the start and printed
            with the address where none is set.
        max_events: How many of the newest events are kept for the page.
        max_bytes: Memory that they may take, as estimated.
    """

    host: str = field(default="127.0.0.1")
    port: int = field(default=DEFAULT_PORT, validator=and_(ge(0), le(65_535)))
    allow_remote: bool = False
    token: Secret | None = field(default=_NO_SECRET)
    max_events: int = field(default=100_000, validator=and_(ge(1), le(10_000_000)))
    max_bytes: int = field(default=64 * _MIB, validator=and_(ge(_MIB), le(16_384 * _MIB)))

    @host.validator
    def _check_host(self, _attribute: "attrs.Attribute[str]", host: str) -> None:
        if not self.allow_remote and not is_loopback(host):
            raise ValueError(
                f"expected a loopback address such as '127.0.0.1', got {host!r}"
                " (allow_remote = true lets other machines see the page)"
            )

    @token.validator
    def _check_token(self, _: "attrs.Attribute[Secret | None]", token: Secret | None) -> None:
        if token is not None and len(token.reveal()) < 16:
            raise ValueError("expected 16 characters or more: whoever guesses it sees everything")
