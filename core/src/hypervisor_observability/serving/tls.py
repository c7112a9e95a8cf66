"""How the server shows who it is, and whether clients have to."""

import ssl
from pathlib import Path
from typing import Protocol


class TlsFiles(Protocol):
    """What the configuration of a server says about TLS: PEM files; None where there is none."""

    @property
    def tls_certificate(self) -> Path | None:
        """The server's certificate, and those between it and the authority's."""

    @property
    def tls_key(self) -> Path | None:
        """Its key."""

    @property
    def tls_client_authority(self) -> Path | None:
        """The authority whose certificates clients have to show."""


def server_context(config: TlsFiles, keys: str) -> ssl.SSLContext | None:
    """Read the certificate; None where none is set.

    Args:
        config: Names the files.
        keys: What the messages put before a key, such as ``plugins.web.``.

    Raises:
        OSError: A file cannot be used; which one and why.
    """
    if config.tls_certificate is None or config.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _readable(config.tls_certificate, f"{keys}tls_certificate")
    _readable(config.tls_key, f"{keys}tls_key")
    try:
        # Without a password the library would ask for one at the terminal.
        context.load_cert_chain(config.tls_certificate, config.tls_key, password=_no_password)
    except (ssl.SSLError, _EncryptedKeyError) as error:
        raise OSError(
            f"{keys}tls_certificate and tls_key: expected a certificate and its key in PEM form,"
            f" the key not encrypted ({config.tls_certificate}, {config.tls_key}: {error})"
        ) from error
    if config.tls_client_authority is not None:
        _readable(config.tls_client_authority, f"{keys}tls_client_authority")
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(config.tls_client_authority)
        except ssl.SSLError as error:
            raise OSError(
                f"{keys}tls_client_authority: expected certificates in PEM form"
                f" ({config.tls_client_authority}: {error})"
            ) from error
    return context


class _EncryptedKeyError(Exception):
    """The key needs a password."""

    def __str__(self) -> str:
        return "the key is encrypted"


def _no_password() -> str:
    raise _EncryptedKeyError


def _readable(file: Path, key: str) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise OSError(f"{key}: cannot read {file}: {error.strerror}") from error
