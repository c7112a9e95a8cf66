"""Anchors: what stood at the end of a run at some moment, kept where its writer is not.

Whoever can write a journal can cut its end off, or write all of it anew with a chain that is
right in itself. Only what is kept elsewhere shows that: an anchor says which chain value a
sequence number had. Each carries an HMAC-SHA-256, whose key is replaced by its own SHA-256
after each use, so that who finds the key cannot forge the anchors before.
"""

import hmac
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from attrs import define, field, frozen

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_KEY_BYTES = 32


@frozen
class Anchor:
    """What one says.

    Attributes:
        run: Of the run, in hexadecimal digits.
        sequence: Events before it.
        chain: The chain value there, in hexadecimal digits.
        number: How many anchors with this key came before.
        mac: HMAC of all that; empty where there is no key.
    """

    run: str
    sequence: int
    chain: str
    number: int = 0
    mac: str = ""

    def message(self) -> bytes:
        """What the HMAC is of."""
        return f"{self.run} {self.sequence} {self.chain} {self.number}".encode("ascii")


@define(eq=False)
class AnchorFile:
    """Append anchors to a file, JSON line by JSON line.

    Attributes:
        path: The file.
        key: None for anchors without HMAC.
    """

    path: Path
    key: bytes | None = field(default=None, repr=False)
    _number: int = field(default=0, init=False)

    def append(self, run: bytes, sequence: int, chain: bytes) -> Anchor:
        """Append one.

        Raises:
            OSError: It cannot be written.
        """
        anchor = Anchor(run.hex(), sequence, chain.hex(), self._number)
        if self.key is not None:
            mac = hmac.new(self.key, anchor.message(), sha256).hexdigest()
            anchor = Anchor(anchor.run, sequence, anchor.chain, self._number, mac)
        line = json.dumps(
            {
                "run": anchor.run,
                "sequence": sequence,
                "chain": anchor.chain,
                "number": anchor.number,
                "mac": anchor.mac,
            }
        )
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, line.encode("ascii") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self.key is not None:
            self.key = sha256(self.key).digest()
            self._number += 1
        return anchor


def read_anchors(path: Path) -> Iterator[Anchor]:
    """Read the anchors of a file.

    Raises:
        ValueError: A line is none; the text says which.
        OSError: The file cannot be read.
    """
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        try:
            values = json.loads(line)
            yield Anchor(
                str(values["run"]),
                int(values["sequence"]),
                str(values["chain"]),
                int(values["number"]),
                str(values["mac"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: no anchor: {error}") from error


def is_genuine(anchor: Anchor, first_key: bytes) -> bool:
    """Tell whether *anchor* was made with the key that began as *first_key*."""
    key = first_key
    for _ in range(anchor.number):
        key = sha256(key).digest()
    mac = hmac.new(key, anchor.message(), sha256).hexdigest()
    return hmac.compare_digest(mac, anchor.mac)


def new_key() -> bytes:
    """Draw a key."""
    return os.urandom(_KEY_BYTES)
