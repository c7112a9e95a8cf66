"""The table ``[plugins.web]``."""

import re
from typing import ClassVar

import attrs
from attrs import field, frozen
from attrs.validators import and_, ge, le

from hypervisor_observability.config import Secret
from hypervisor_observability.serving.settings import ServerSettings, port_field

DEFAULT_PORT = 9478

_MIB = 1024 * 1024
_NO_SECRET: Secret | None = None  # annotated for the validator's type
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")  # RFC 6750, 2.1


@frozen(kw_only=True)
class WebConfig(ServerSettings):
    """Where the page is served, and to whom.

    Attributes:
        token: What a viewer has to show: 16 characters or more, of those that a header takes;
            drawn at the start where none is set.
        max_events: How many of the newest events are kept for the page.
        max_bytes: Memory that they may take, as estimated.
    """

    others: ClassVar[str] = "see the page"

    port: int = port_field(DEFAULT_PORT)
    token: Secret | None = field(default=_NO_SECRET)
    max_events: int = field(default=100_000, validator=and_(ge(1), le(10_000_000)))
    max_bytes: int = field(default=64 * _MIB, validator=and_(ge(_MIB), le(16_384 * _MIB)))

    @token.validator
    def _check_token(
        self, attribute: "attrs.Attribute[Secret | None]", token: Secret | None
    ) -> None:
        if token is not None and not _TOKEN.fullmatch(token.reveal()):
            # As attrs' own validator says it: in any other words, the reason might hold the secret.
            text = f"'token' must match regex {_TOKEN.pattern!r}"
            raise ValueError(text, attribute, _TOKEN, token)
