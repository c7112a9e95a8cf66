"""Certificates of servers on this machine, signed by themselves."""

import shutil
from pathlib import Path

from attrs import frozen

from tests.programs import found_or_skip, run


@frozen
class Certificate:
    """A self-signed certificate, and its key."""

    file: Path
    key: Path


def openssl(*arguments: object) -> None:
    """Run openssl; skip the test where it is missing."""
    how = "Install Debian's package openssl."
    program = found_or_skip("openssl", lambda: shutil.which("openssl"), how)
    run([program, *arguments], check=True)


def make_certificate(certificate: Path, key: Path, *names: str) -> None:
    """Write a certificate for *names*, such as ``DNS:localhost``, and its key."""
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "2", "-subj", f"/CN={key.stem}", "-keyout", key, "-out", certificate),
        *("-addext", f"subjectAltName={','.join(names)}"),
    )
