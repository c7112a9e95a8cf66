"""The key file of anchors: each run takes a key from it, and the file forgets that key.

It holds a key that ratchets with each run: a run's own first key is the HMAC of the run's id
under the key that the file then had. So many processes can share the file, and whoever has its
very first key, kept elsewhere, can check every anchor.
"""

import hmac
import os
from hashlib import sha256
from pathlib import Path

from attrs import field, frozen

from hypervisor_journal.locks import wait_for_lock
from hypervisor_observability.files.atomic_file import sync_folder
from hypervisor_observability.files.regular_file import open_regular

_KEY_BYTES = 32
_MAX_LINE_BYTES = 1_000
_HOW_TO_MAKE = "make one with 'hvobs journal key FILE'"


@frozen
class RunKey:
    """A run's own first key.

    Attributes:
        number: How many runs had a key from the key file before.
        key: The key.
    """

    number: int
    key: bytes = field(repr=False)


def take_run_key(path: Path, run: bytes) -> RunKey:
    """Derive the key of *run* from the key file, and have that forget the key it had.

    Raises:
        OSError: It cannot be read or written.
        ValueError: It is no key file.
    """
    with open_regular(path, os.O_RDWR) as file:
        descriptor = file.fileno()
        wait_for_lock(file)
        number, key = _parse_key(os.pread(descriptor, _MAX_LINE_BYTES, 0))
        # Of the same length, so that nothing of the key that it had is left.
        os.pwrite(descriptor, _key_line(number + 1, sha256(key).digest()), 0)
        os.fsync(descriptor)
    return RunKey(number, hmac.new(key, run, sha256).digest())


def check_key_file(path: Path) -> None:
    """Check that ``take_run_key`` could take keys from a key file; take none.

    Raises:
        ValueError: It could not; the text says why.
    """
    try:
        with open_regular(path, os.O_RDWR) as file:
            descriptor = file.fileno()
            _parse_key(os.pread(descriptor, _MAX_LINE_BYTES, 0))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file: {_HOW_TO_MAKE}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read and written: {error.strerror}") from None


def make_key_file(path: Path) -> str:
    """Make a key file.

    Returns:
        The first key, in hexadecimal digits, to be kept where the journal is not.

    Raises:
        FileExistsError: There is one already.
        OSError: It cannot be written.
    """
    key = os.urandom(_KEY_BYTES)
    with open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
        os.write(file.fileno(), _key_line(0, key))
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return key.hex()


def _key_line(number: int, key: bytes) -> bytes:
    return f"{number:020d} {key.hex()}\n".encode("ascii")


def _parse_key(line: bytes) -> tuple[int, bytes]:
    try:
        number, digits = line.decode("ascii").split()
        key = bytes.fromhex(digits)
        if len(key) == _KEY_BYTES:
            return int(number), key
    except ValueError:
        pass
    raise ValueError(f"it is no key file: {_HOW_TO_MAKE}")
