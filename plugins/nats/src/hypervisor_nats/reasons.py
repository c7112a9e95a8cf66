"""Why a server does not answer or refuses, in words for people, with what to do."""

import asyncio
import errno
import re
import socket
import ssl

from nats.errors import AuthorizationError, NoRespondersError, UnexpectedEOF
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from hypervisor_nats.config import NatsConfig

CLIENT_ERRORS = (NatsError, OSError, TimeoutError, asyncio.TimeoutError, ssl.SSLError)
"""What the client raises where a server is away, or refuses."""

# Numbers of JetStream's errors: server/errors.json of NATS.
STREAM_NOT_FOUND = 10059
_NO_JETSTREAM = {10039, 10076}  # not for this account; not enabled
_TOO_FEW = {10005, 10074}  # no suitable peers; replicas without a cluster
_FULL = re.compile(r"maximum (bytes|messages) exceeded")

_NO_JETSTREAM_TEXT = (
    "JetStream is not enabled there: give the server a jetstream block with a store_dir, and"
    " the account the right to it"
)
_REFUSED = (
    "authorization violation",
    "authentication expired",
    "authentication timeout",
    "authentication revoked",
    "account authentication",
)


_VIOLATION = "permissions violation"
_NO_NATS = "expecting info message"  # nats-py, aio/client.py
DENIED = "it is not allowed"
"""What a denial begins with that names its subject as it was asked for."""


class RefusedError(NatsError):
    """The server refuses what this client asks, or what it shows of itself; the text says how."""


def is_refusal(error: BaseException) -> bool:
    """Whether trying again does not help, as long as nobody changes anything."""
    text = str(error).lower()
    return (
        isinstance(error, RefusedError | AuthorizationError | ssl.SSLCertVerificationError)
        or any(one in text for one in _REFUSED)
        or is_denial(error)
    )


def is_denial(error: BaseException) -> bool:
    """Whether the server says that a subject is not for this client."""
    text = str(error).lower()
    return _VIOLATION in text or text.startswith(DENIED)


def reason(error: BaseException, config: NatsConfig) -> str:
    """Say what *error* means and what would be right, in one line without secrets."""
    text = " ".join(str(error).removeprefix("nats: ").split()).strip("'")
    if isinstance(error, APIError | NoRespondersError | NoStreamResponseError):
        return _of_jetstream(error, config)
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): name the file of its"
            " authority as tls_authority, and the host as the certificate names it"
        )
    if isinstance(error, AuthorizationError) or any(one in text.lower() for one in _REFUSED):
        return f"it refuses the {_shown(config)}: {text}. {_cure(config, text.lower())}"
    if is_denial(error):
        return f"{text}: the server's configuration must allow it to this user"
    return _lost(error, config) or text or type(error).__name__


def no_stream(config: NatsConfig) -> str:
    """Say that the servers do not have the stream, and what would be right."""
    return f"there is no stream {config.stream}: 'hvobs nats init' makes it"


def _of_jetstream(error: NatsError, config: NatsConfig) -> str:
    if isinstance(error, NoStreamResponseError):
        return "no stream accepts what is sent there: 'hvobs nats init' makes it"
    if not isinstance(error, APIError) or _no_jetstream(error):
        return _NO_JETSTREAM_TEXT
    if error.err_code == STREAM_NOT_FOUND:
        return no_stream(config)
    found = f"{error.description} (error {error.err_code})"
    if error.err_code in _TOO_FEW:
        return f"{found}: there are too few servers for so many replicas: lower --replicas"
    if _FULL.search(found):
        return f"the stream is full: {found}: raise its limits with 'hvobs nats init'"
    return found


def _no_jetstream(error: APIError) -> bool:
    told_nothing = isinstance(error, ServiceUnavailableError) and error.err_code is None
    return told_nothing or error.err_code in _NO_JETSTREAM


def _lost(error: BaseException, config: NatsConfig) -> str | None:
    """Say how there is no connection, or no answer over it."""
    text = str(error).lower()
    # Of a name with several addresses asyncio raises an OSError of its own, with both texts.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return "nobody listens there: start the server, or name another in servers"
    if isinstance(error, socket.gaierror):
        return f"its host name is not known ({error.strerror}): correct it in servers"
    if isinstance(error, UnexpectedEOF):
        return "it closed the connection"
    if _NO_NATS in text:
        return "what listens there is not a NATS server: name the port of one in servers"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, NatsTimeoutError | TimeoutError | asyncio.TimeoutError):
        return (
            f"no answer within {config.timeout_seconds:g} seconds: it hangs, is not a NATS server,"
            " or too few servers of the cluster are up"
        )
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return None


def _cure(config: NatsConfig, text: str) -> str:
    if all(one is None for one in (config.credentials_file, config.nkey_file, config.token)) and (
        config.user is None and config.tls_certificate is None
    ):
        return "Set user and password, token, nkey_file or credentials_file in [plugins.nats]"
    return "They expired: get new ones" if "expired" in text else "They are wrong, or were revoked"


def _shown(config: NatsConfig) -> str:
    """Name what this client shows of itself."""
    if config.credentials_file is not None:
        return f"credentials of {config.credentials_file}"
    if config.nkey_file is not None:
        return f"NKey of {config.nkey_file}"
    if config.token is not None:
        return "token"
    if config.user is not None:
        return f"password of user {config.user}"
    if config.tls_certificate is not None:
        return f"certificate {config.tls_certificate}"
    return "client, which has no credentials"
