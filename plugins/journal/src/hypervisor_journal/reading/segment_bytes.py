"""What the bytes of a segment tell without its records: whether anything stands there."""

import errno
import os
import re
from pathlib import Path

from hypervisor_journal.format.frames import CHECKSUM_BYTES, BadBytesError, record_at
from hypervisor_observability.files.regular_file import open_regular

GLANCE_BYTES = 4096
"""Most records are shorter."""
STEP_BYTES = 3 * 1024 * 1024
"""No record is longer."""
NO_CHECKSUM = bytes(CHECKSUM_BYTES)
_SEEK_DATA = getattr(os, "SEEK_DATA", None)

# The fixed part of a record from its lengths to its flags, as far as any record shares it.
# Heads and payloads are JSON: none of its bytes is 0, so records' insides do not match.
_BEGINNING = re.compile(
    rb"(?=[\0-\xff]{4}[\0-\xff]{2}[\0-\x10]\0[\0-\xff]{2}[\0-\x10]\0[\x01\x02\x80-\xff][\0\x01]\0\0)"
)
_MAX_CANDIDATES = 1_000


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read up to *size* bytes from *offset* on.

    Raises:
        OSError: The file cannot be read.
    """
    # Opened each time: there may be more runs than a process may open files.
    with open_regular(path) as file:
        return os.pread(file.fileno(), size, offset)


def not_zero(data: bytes) -> bool:
    """Tell whether any byte is set."""
    return data.count(0) < len(data)


def holds_record(data: bytes) -> bool:
    """Tell whether a finished record begins anywhere behind the first byte."""
    candidates = 0
    for found in _BEGINNING.finditer(data, 1):
        place = found.start()
        if data[place : place + CHECKSUM_BYTES] == NO_CHECKSUM:
            continue
        candidates += 1
        if candidates > _MAX_CANDIDATES:
            return True  # nothing that a writer leaves
        try:
            if record_at(data, place) is not None:
                return True
        except BadBytesError:
            continue
    return False


def has_data(path: Path, offset: int) -> bool:
    """Tell whether any byte from *offset* on is not 0; what was never written is not read.

    Raises:
        OSError: The file cannot be read.
    """
    with open_regular(path) as file:
        descriptor, size = file.fileno(), GLANCE_BYTES
        while True:
            offset = _next_data(descriptor, offset)
            data = os.pread(descriptor, size, offset)
            if not data:
                return False
            if not_zero(data):
                return True
            offset += len(data)
            size = STEP_BYTES


def _next_data(descriptor: int, offset: int) -> int:
    if _SEEK_DATA is None:
        return offset
    try:
        return os.lseek(descriptor, offset, _SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return os.fstat(descriptor).st_size
        if error.errno in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot say
            return offset
        raise
