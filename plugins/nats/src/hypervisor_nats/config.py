"""What can be set in ``[plugins.nats]``."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from attrs.validators import ge, gt, le, matches_re, min_len

from hypervisor_journal import JournalConfig
from hypervisor_observability.config import Secret, optional_absolute_path

if TYPE_CHECKING:
    from attrs import Attribute

DEFAULT_SERVER = "nats://127.0.0.1:4222"
_NO_FILE: Path | None = None  # annotated for the validators' types
_NO_TEXT: str | None = None
_NO_SECRET: Secret | None = None
_NO_JOURNAL: JournalConfig | None = None
_SERVER = re.compile(r"(?:nats|tls)://(?:[^/?#@\s:\[\]]+|\[[\da-fA-F:.]+\])(?::(\d+))?", re.ASCII)
_MOST_PORT = 65_535
# Names of streams and buckets, and a subject without wildcards (NATS, ADR-6).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


def _check_servers(
    _: object, _attribute: "Attribute[tuple[str, ...]]", servers: tuple[str, ...]
) -> None:
    for server in servers:
        if "@" in server:  # it is not shown: it has a secret in it
            raise ValueError(
                "an address holds no user, password or token: they have keys of their own"
            )
        found = _SERVER.fullmatch(server)
        if found is None:
            raise ValueError(f"expected nats://HOST:PORT or tls://HOST:PORT, got {server!r:.80}")
        if found[1] is not None and not (len(found[1]) < 6 and 0 < int(found[1]) <= _MOST_PORT):
            raise ValueError(f"expected a port from 1 to {_MOST_PORT}, got {server!r:.80}")


def _check_name(_: object, _attribute: "Attribute[str]", name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"expected at most 200 letters, digits, '-' and '_', got {name!r:.80}")


@frozen(kw_only=True)
class NatsConfig:
    """Where the stream of the fleet is, and what this process does with it.

    Attributes:
        servers: Addresses of the servers, ``nats://HOST:PORT`` or ``tls://HOST:PORT``; any one
            of a cluster will do, all of them are better.
        stream: Name of the stream. Positions are in the bucket ``STREAM_positions``.
        subject: What the subjects of the events begin with.
        user: Name for a server that asks for one.
        password: Goes with *user*.
        token: For a server that asks for one.
        credentials_file: A file of credentials (a JWT and the seed of a key), ``*.creds``.
        nkey_file: A file with the seed of an NKey.
        tls_authority: PEM file with the authority of the servers; None: those of the system.
        tls_certificate: PEM file with a certificate of this client.
        tls_key: PEM file with its key.
        timeout_seconds: Longest time for an answer of the server.
        ship: Whether a process that emits sends its journal's directory itself; if not, it is
            left to ``hvobs ship``.
        journal: The journal in which a process that emits keeps its events first: the same keys
            as ``[plugins.journal]``.
        max_message_events: Most events in a message.
        max_message_bytes: Most bytes of records in a message; a single record may have more.
        lease_seconds: Time without a sign of life after which others take over what an agent
            has.
    """

    servers: tuple[str, ...] = field(
        default=(DEFAULT_SERVER,), validator=[min_len(1), _check_servers]
    )
    stream: str = field(default="hv", validator=_check_name)
    subject: str = field(default="hv.ev", validator=matches_re(_SUBJECT, func=re.fullmatch))
    user: str | None = field(default=_NO_TEXT)
    password: Secret | None = field(default=_NO_SECRET)
    token: Secret | None = field(default=_NO_SECRET)
    credentials_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    nkey_file: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    tls_authority: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    tls_certificate: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    tls_key: Path | None = field(default=_NO_FILE, converter=optional_absolute_path)
    timeout_seconds: float = field(default=5.0, validator=[gt(0), le(300)])
    ship: bool = True
    journal: JournalConfig | None = field(default=_NO_JOURNAL)
    max_message_events: int = field(default=100, validator=[ge(1), le(1_000)])
    max_message_bytes: int = field(default=65_536, validator=[ge(1_024), le(1_048_576)])
    lease_seconds: float = field(default=2.0, validator=[ge(0.2), le(60)])

    @user.validator
    @token.validator
    @credentials_file.validator
    @nkey_file.validator
    def _check_one_way(self, _: "Attribute[Any]", _value: object) -> None:
        ways = ("user", "token", "credentials_file", "nkey_file")
        given = [way for way in ways if getattr(self, way, None) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are different ways to prove who asks: set one")

    @password.validator
    def _check_user(self, _: "Attribute[Secret | None]", password: Secret | None) -> None:
        if password is not None and self.user is None:
            raise ValueError("a password goes with a user: set user, too")

    @tls_certificate.validator
    @tls_key.validator
    def _check_pair(self, _: "Attribute[Path | None]", _file: Path | None) -> None:
        if (self.tls_key is None) != (self.tls_certificate is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or neither")

    @property
    def bucket(self) -> str:
        """Name of the bucket in which positions are."""
        return f"{self.stream}_positions"
