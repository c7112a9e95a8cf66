"""How a connection is made: what this client shows of itself, and what it does not put up with."""

import asyncio
import base64
import binascii
import contextlib
import re
import ssl
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import UnexpectedEOF

from hypervisor_nats.config import NatsConfig
from hypervisor_nats.reasons import DENIED, RefusedError, is_denial, is_refusal

_RECONNECT_SECONDS = 0.25
_PING_SECONDS = 2
"""A server that hangs, or whose machine is gone, is left after two pings without an answer."""
_ENDS = (ConnectionError, UnexpectedEOF)
_MAX_FILE_BYTES = 65_536
# As NATS writes credentials (nats-io/jwt, creds_utils.go).
_TOKEN = re.compile(rb"-{3,}BEGIN NATS USER JWT-{3,}\s+([\w.-]+)\s+-{3,}END")
_CREDENTIALS = "a .creds file, with the JWT of a user and a seed that begins with SU"
_NKEY = "a file with the seed of a user's NKey, which begins with SU"
_SEED = re.compile(rb"\b(SU[A-Z2-7]{56})\b")
# Permissions Violation for Publish to "SUBJECT" (nats-server, server/client.go).
_DENIED = re.compile(r'for publish to "([^"]+)"', re.IGNORECASE)


class WatchedClient(Client):
    """A client whose requests fail as soon as the server denies them, although the denial does not
    name the request; and that sends no secret in the clear if TLS was asked for.
    """

    def __init__(self, *, only_tls: bool) -> None:
        super().__init__()
        self._only_tls = only_tls
        self._saw_offer = False
        self._asked: dict[asyncio.Task[Msg], str] = {}
        self._denials: dict[asyncio.Task[Msg], Exception] = {}

    async def request(self, subject: str, *args: Any, **options: Any) -> Msg:
        """Do as the client does, but raise at once what the server says against it.

        Raises:
            NatsError: It takes too long, no server answers, or it is denied.
        """
        asked = asyncio.create_task(super().request(subject, *args, **options))
        self._asked[asked] = subject
        try:
            return await asked
        except asyncio.CancelledError:
            if asked not in self._denials:
                raise
            raise self._denials[asked] from None
        finally:
            asked.cancel()
            self._asked.pop(asked)
            self._denials.pop(asked, None)

    def deny(self, error: Exception) -> None:
        """End the requests that a denial of the server is about: all, where it is about answers."""
        found = _DENIED.search(str(error))
        for asked, subject in self._asked.items():
            if found is None:
                self._denials[asked] = error
                asked.cancel()
            elif found[1].lower() == subject.lower():  # the client tells it in lower case alone
                self._denials[asked] = RefusedError(f"{DENIED} to publish to {subject}")
                asked.cancel()

    def require_offer(self) -> None:
        """Make sure that the check below was made.

        Raises:
            RefusedError: This release of the client connects in another way.
        """
        if not self._saw_offer:
            raise RefusedError("this release of nats-py cannot be used: install 2.16")

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Read the headers of a message; None where they are none. Whoever may publish writes
        them as he likes, and what the client raises here would end its reading for good.
        """
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except (IndexError, ValueError):
            return None
        return found

    def _connect_command(self) -> bytes:
        """Refuse to continue before any secret is sent."""
        self._saw_offer = True
        if self._only_tls and not self._server_info.get("tls_required"):
            raise RefusedError(
                "it does not require TLS, and nothing is sent without: give the server a tls block"
            )
        command: bytes = super()._connect_command()
        return command


async def connect(
    config: NatsConfig, name: str, heard: Callable[[Exception | None], object]
) -> WatchedClient:
    """Connect to one of the servers. A connection that is lost later is made again by itself.

    Args:
        config: Where to, and as whom.
        name: Of the client, as the servers show it.
        heard: Called in the loop with what goes wrong, then and later; with None when all is well
            again.

    Raises:
        NatsError: No server answers, or it refuses.
        OSError: The same, or a file cannot be read.
    """
    tls = _tls_of(config)
    client = WatchedClient(only_tls=tls is not None)
    failures: deque[Exception] = deque(maxlen=len(config.servers))
    hopeless = asyncio.Event()

    refusing = False

    async def hear(error: Exception) -> None:
        nonlocal refusing
        if refusing and isinstance(error, _ENDS):
            refusing = False  # a server that refuses ends the connection: that says less
            return
        refusing = is_refusal(error) and not is_denial(error)
        heard(error)
        failures.append(error)
        if is_denial(error):
            client.deny(error)
        elif len(failures) == failures.maxlen and all(map(is_refusal, failures)):
            hopeless.set()

    async def well() -> None:
        heard(None)

    connecting = asyncio.create_task(
        client.connect(
            servers=list(config.servers),
            name=f"hvobs {name}",
            connect_timeout=max(1, round(config.timeout_seconds)),
            reconnect_time_wait=_RECONNECT_SECONDS,  # type: ignore[arg-type]  # it is slept
            max_reconnect_attempts=-1,
            ping_interval=_PING_SECONDS,
            error_cb=hear,
            reconnected_cb=well,
            tls=tls,
            **_shown(config),
        )
    )
    waiting = asyncio.create_task(hopeless.wait())
    try:
        await asyncio.wait(
            {connecting, waiting}, timeout=config.timeout_seconds, return_when="FIRST_COMPLETED"
        )
        if not connecting.done():
            raise failures[-1] if failures else TimeoutError
        await connecting
        client.require_offer()
    except BaseException:
        connecting.cancel()
        with contextlib.suppress(Exception):  # it may have come nowhere yet
            await client.close()
        raise
    finally:
        waiting.cancel()
    heard(None)
    return client


def _shown(config: NatsConfig) -> dict[str, Any]:
    """Give the client's options that prove who it is."""
    if config.credentials_file is not None:
        file = config.credentials_file
        _read(file, _TOKEN, _CREDENTIALS)  # a server may never ask for it
        return {
            "user_jwt_cb": lambda: _read(file, _TOKEN, _CREDENTIALS),
            "signature_cb": lambda nonce: _signed(_read_seed(file, _CREDENTIALS), nonce),
        }
    if config.nkey_file is not None:
        return {"nkeys_seed_str": _read_seed(config.nkey_file, _NKEY).decode()}
    if config.token is not None:
        return {"token": config.token.reveal()}
    if config.user is not None:
        password = "" if config.password is None else config.password.reveal()
        return {"user": config.user, "password": password}
    return {}


def _signed(seed: bytes, nonce: str) -> bytes:
    import nkeys

    pair = nkeys.from_seed(bytearray(seed))
    return base64.b64encode(pair.sign(nonce.encode()))


def _read_seed(file: Path, what: str) -> bytes:
    """Read the seed of an NKey: base32, a CRC-16 (XMODEM) at its end (NATS, ADR-14).

    Raises:
        RefusedError: It is not there, or damaged.
    """
    seed = _read(file, _SEED, what)
    raw = base64.b32decode(seed + b"=" * (-len(seed) % 8))
    if binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise RefusedError(f"{file}: the seed in it is damaged: its checksum is wrong")
    return seed


def _read(file: Path, part: re.Pattern[bytes], what: str) -> bytes:
    """Read a part of a file of secrets, again with each connection, as it may have been renewed.

    Raises:
        RefusedError: It is not there.
    """
    try:
        with file.open("rb") as opened:
            found = part.search(opened.read(_MAX_FILE_BYTES))
    except OSError as error:
        raise RefusedError(f"{file}: {error.strerror}: expected {what}") from error
    if found is None:
        raise RefusedError(f"{file}: expected {what}")
    return found[1]


def _tls_of(config: NatsConfig) -> ssl.SSLContext | None:
    """Give how to speak TLS; None where nothing asks for it.

    Raises:
        RefusedError: A file cannot be used.
    """
    wanted = config.tls_authority is not None or config.tls_certificate is not None
    if not wanted and not any(server.startswith("tls://") for server in config.servers):
        return None
    try:
        context = ssl.create_default_context(cafile=config.tls_authority)
    except OSError as error:
        raise RefusedError(f"tls_authority {config.tls_authority}: {_why(error)}") from error
    if config.tls_certificate is not None and config.tls_key is not None:
        try:
            context.load_cert_chain(config.tls_certificate, config.tls_key, password="")
        except OSError as error:
            files = f"tls_certificate {config.tls_certificate}, tls_key {config.tls_key}"
            raise RefusedError(f"{files}: {_why(error)}") from error
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a PEM file that can be used ({error.reason or 'unknown reason'})"
    return error.strerror or str(error)
