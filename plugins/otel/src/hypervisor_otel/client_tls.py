"""TLS towards a receiver: whom it is trusted by, and as whom it is spoken to."""

import ssl
from pathlib import Path
from typing import Protocol

from attrs import frozen


class TLSFiles(Protocol):
    """What is read of a plugin's config class; :class:`OTelConfig` says what it means."""

    @property
    def ca_file(self) -> Path | None:
        """Certificates to trust instead of the system's."""

    @property
    def cert_file(self) -> Path | None:
        """The client's own certificate, where the receiver asks for one."""

    @property
    def key_file(self) -> Path | None:
        """Its private key."""


@frozen
class PEMFiles:
    """The contents of the files, as gRPC takes them; None: there is no such file."""

    ca: bytes | None
    key: bytes | None
    chain: bytes | None


def check_client_certificate(cert_file: Path | None, key_file: Path | None) -> None:
    """Check that there are both or neither.

    Raises:
        ValueError: There is one alone.
    """
    if (cert_file is None) != (key_file is None):
        msg = "cert_file and key_file go together: set both, or neither"
        raise ValueError(msg)


def client_context(files: TLSFiles) -> ssl.SSLContext:
    """Make the context of a client, which always verifies the server.

    Raises:
        ValueError: A file holds something else, or key and certificate do not belong together.
        OSError: A file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except ssl.SSLError:
        msg = f"ca_file: expected certificates in PEM form in {files.ca_file}"
        raise ValueError(msg) from None
    except OSError as error:
        raise _unreadable("ca_file", files.ca_file, error) from None
    if files.cert_file is None or files.key_file is None:
        return context
    _readable("cert_file", files.cert_file)
    _readable("key_file", files.key_file)
    try:
        # A password that is none: a terminal would be asked for the one of an encrypted key.
        context.load_cert_chain(files.cert_file, files.key_file, password="")
    except (ssl.SSLError, OSError):
        msg = (
            "cert_file, key_file: expected a certificate and its private key, unencrypted, in "
            f"PEM form in {files.cert_file} and {files.key_file}"
        )
        raise ValueError(msg) from None
    return context


def pem_files(files: TLSFiles) -> PEMFiles:
    """Read the files, having checked them.

    Raises:
        ValueError: As for :func:`client_context`.
        OSError: As for :func:`client_context`.
    """
    client_context(files)
    return PEMFiles(*map(_content, (files.ca_file, files.key_file, files.cert_file)))


def _content(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()


def _readable(key: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise _unreadable(key, file, error) from None


def _unreadable(key: str, file: Path | None, error: OSError) -> OSError:
    return OSError(f"{key}: cannot read {file}: {error.strerror}")
