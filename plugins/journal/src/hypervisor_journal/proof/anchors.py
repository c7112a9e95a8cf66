"""Anchors: what stood at the end of a run at some moment, kept where its writer is not.

Whoever can write a journal can cut its end off, or write all of it anew with a chain that is
right in itself. Only what is kept elsewhere shows that: an anchor says which chain value a
sequence number had. Each carries an HMAC-SHA-256 (RFC 2104). Its key is replaced by its own
SHA-256 after each use, so that who finds the key cannot forge the anchors before.
"""

import hmac
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve, field, fields, frozen

from hypervisor_journal.proof.key_files import RunKey
from hypervisor_observability.files.atomic_file import sync_folder
from hypervisor_observability.files.regular_file import open_regular

_MAX_LINE_CHARACTERS = 1_000
MAX_ANCHORS = 1_000_000
"""Most anchors that are read of a file."""

_MAX_NUMBER = 2**63
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
# A run without an anchor takes a key too, and a file may have been begun anew.
_SPARE_STEPS = 1_000_000
_STEPS_AN_ANCHOR = 100


@frozen
class Anchor:
    """What one says.

    Attributes:
        run: Of the run, in hexadecimal digits.
        sequence: Events before it.
        chain: The chain value there, in hexadecimal digits.
        number: How many anchors of this run came before.
        key_number: How many runs had a key from the key file before.
        mac: HMAC of all that, in hexadecimal digits; empty where there is no key.
    """

    run: str
    sequence: int
    chain: str
    number: int = 0
    key_number: int = 0
    mac: str = ""

    def message(self) -> bytes:
        """What the HMAC is of."""
        values = self.run, self.sequence, self.chain, self.number, self.key_number
        return " ".join(map(str, values)).encode("ascii")


@define(eq=False)
class Anchorage:
    """Makes a run's anchors, and keeps them in a file where there is one.

    Attributes:
        run: The run's id.
        path: The file; None: they are only made.
    """

    run: bytes
    path: Path | None = None
    _key: bytes | None = field(default=None, repr=False)
    _key_number: int = 0
    _number: int = field(default=0, init=False)

    @classmethod
    def of(cls, run: bytes, path: Path | None, key: RunKey | None) -> "Anchorage":
        """Begin; without *key*, anchors have no HMAC."""
        return cls(run, path) if key is None else cls(run, path, key.key, key.number)

    def anchor(self, sequence: int, chain: bytes) -> Anchor:
        """Make one, and append it to the file as a line of JSON.

        Raises:
            OSError: It cannot be written.
        """
        anchor = Anchor(self.run.hex(), sequence, chain.hex(), self._number, self._key_number)
        if self._key is not None:
            anchor = evolve(anchor, mac=_mac(self._key, anchor))
            self._key = sha256(self._key).digest()
        self._number += 1
        if self.path is not None:
            _append_line(self.path, json.dumps(asdict(anchor)))
        return anchor


def _refuse(problem: str) -> None:
    raise ValueError(problem)


def read_anchors(path: Path, on_damage: Callable[[str], object] = _refuse) -> Iterator[Anchor]:
    """Read the anchors of a file, one after the other.

    A last line that has no end, because its process was killed, says nothing and is no damage.

    Args:
        path: The file.
        on_damage: Told of each line that is none: which, and why. It raises by default.

    Raises:
        ValueError: There are too many.
        OSError: The file cannot be read.
    """
    with path.open(encoding="ascii", errors="replace") as file:
        for number in count(1):
            line = file.readline(_MAX_LINE_CHARACTERS)
            if not line:
                return
            if number > MAX_ANCHORS:
                raise ValueError(f"{path}: more than {MAX_ANCHORS:,} anchors")
            try:
                anchor = anchor_of(json.loads(line))
            except (ValueError, RecursionError) as error:
                if line.endswith("\n") or len(line) == _MAX_LINE_CHARACTERS:
                    on_damage(f"{path}, line {number}: no anchor: {error}")
            else:
                yield anchor


def anchor_of(values: Any) -> Anchor:
    """Read an anchor from its JSON object, as it stands in a file or in an event's payload.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected an object, got {type(values).__name__}")
    for key in ("run", "chain", "mac"):
        if not isinstance(values.get(key), str) or not _HEX.fullmatch(values[key]):
            raise ValueError(f"{key}: expected hexadecimal digits")
    for key in ("sequence", "number", "key_number"):
        if type(values.get(key)) is not int or not 0 <= values[key] < _MAX_NUMBER:
            raise ValueError(f"{key}: expected a whole number from 0 on")
    return Anchor(**{name.name: values[name.name] for name in fields(Anchor)})


def forged_among(anchors: Iterable[Anchor], first_key: bytes) -> list[Anchor]:
    """Give those that were not made with a key that comes from *first_key*.

    Keys are derived in their order, each once. How many are is bounded by how many anchors there
    are: one whose number is out of all proportion counts as forged, and costs nothing.
    """
    runs: dict[tuple[int, str], list[Anchor]] = {}
    forged: list[Anchor] = []
    for anchor in anchors:
        if _is_sound(anchor):
            runs.setdefault((anchor.key_number, anchor.run), []).append(anchor)
        else:
            forged.append(anchor)
    steps = _SPARE_STEPS + _STEPS_AN_ANCHOR * sum(map(len, runs.values()))
    key, key_number = first_key, 0
    for (number, run), ours in sorted(runs.items()):
        if number - key_number > steps:
            forged += ours
            continue
        steps -= number - key_number
        key, key_number = _ratcheted(key, number - key_number), number
        steps = _check_run(hmac.new(key, bytes.fromhex(run), sha256).digest(), ours, steps, forged)
    return forged


def _is_sound(anchor: Anchor) -> bool:
    texts, numbers = (anchor.run, anchor.chain, anchor.mac), (anchor.key_number, anchor.number)
    return all(map(_HEX.fullmatch, texts)) and all(0 <= one < _MAX_NUMBER for one in numbers)


def _check_run(key: bytes, anchors: list[Anchor], steps: int, forged: list[Anchor]) -> int:
    """Put the forged ones of a run into *forged*; give how many steps are left."""
    number = 0
    for anchor in sorted(anchors, key=attrgetter("number")):
        if anchor.number - number > steps:
            forged.append(anchor)
            continue
        steps -= anchor.number - number
        key, number = _ratcheted(key, anchor.number - number), anchor.number
        if not hmac.compare_digest(_mac(key, anchor).encode(), anchor.mac.encode()):
            forged.append(anchor)
    return steps


def _ratcheted(key: bytes, steps: int) -> bytes:
    for _ in range(steps):
        key = sha256(key).digest()
    return key


def _mac(key: bytes, anchor: Anchor) -> str:
    return hmac.new(key, anchor.message(), sha256).hexdigest()


def _append_line(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        # A process may have been killed in the middle of its line: that is no beginning of ours.
        torn = b"" if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
        os.write(descriptor, torn + line.encode("ascii") + b"\n")
        os.fsync(descriptor)
    if size == 0:
        sync_folder(path.parent)
