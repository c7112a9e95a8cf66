"""Certificates of a server and of others, for tests of TLS."""

from pathlib import Path

from attrs import frozen

from tests.certificates import make_certificate, openssl


@frozen
class Certificates:
    """A certificate for localhost, its key, and another pair that nobody knows."""

    certificate: Path
    key: Path
    other_certificate: Path
    other_key: Path
    encrypted_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write them into *folder*."""
    one, two = ((folder / f"{name}.pem", folder / f"{name}.key") for name in ("one", "two"))
    for pair in (one, two):
        make_certificate(*pair, "DNS:localhost", "IP:127.0.0.1")
    encrypted = folder / "encrypted.key"
    openssl(
        *("pkcs8", "-topk8", "-in", one[1], "-out", encrypted),
        *("-passout", "pass:x", "-v2", "aes-128-cbc"),
    )
    return Certificates(*one, *two, encrypted)
