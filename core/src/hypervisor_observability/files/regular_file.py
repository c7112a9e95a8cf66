"""Open what others may have put in our place: a regular file, or nothing.

A FIFO of that name would hold its reader for ever, a device do worse, and a symbolic link lead
elsewhere. What a file holds may be anything: too long, no JSON, or nested without end.
"""

import errno
import json
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Any

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> FileIO:
    """Open *path* without ever waiting.

    The descriptor is never in nobody's hands: whatever strikes, it is closed with what holds it.

    Args:
        path: A regular file, no symbolic link.
        flags: As of ``os.open``.
        mode: Of the file, where *flags* make it.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    held: list[int] = []
    try:
        held.extend(map(os.open, [path], [flags | _NO_FOLLOW], [mode]))
        if not stat.S_ISREG(os.fstat(held[0]).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return next(map(FileIO, map(held.pop, [0])))  # in one step
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a FIFO that nobody reads
            raise OSError(errno.EINVAL, "not a regular file", str(path)) from None
        raise
    finally:
        for descriptor in held:
            os.close(descriptor)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read all of *path*.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It holds more than *max_bytes*.
    """
    data = b""
    with open_regular(path) as file:
        while len(data) <= max_bytes and (more := file.read(max_bytes + 1 - len(data))):
            data += more
    if len(data) > max_bytes:
        raise ValueError(f"longer than {max_bytes} bytes")
    return data


def read_json(path: Path, max_bytes: int) -> Any:
    """Read the JSON in *path*.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It holds more than *max_bytes*, or no JSON, or JSON that is nested too deeply.
    """
    data = read_regular(path, max_bytes)
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
