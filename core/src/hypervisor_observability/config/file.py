"""Read a configuration file: what it may be, who may write it, and what it says where.

The file is not trusted before it was looked at. Size, kind and permissions are checked on
the open file, so that nothing can be exchanged between the look and the read.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ..text.error_text import reason_of
from .shown import harmless
from .toml_lines import KeyPath, TooComplex, key_lines

MAX_FILE_BYTES = 65_536
"""Longest configuration file. One with every key set has some 4 KiB."""

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class UnusableFile(Exception):  # noqa: N818 - a verdict on a file; becomes a ConfigProblem
    """Say why a file cannot be used.

    Attributes:
        line: The line that is to blame, counted from 1; None where it is the whole file.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message)


@frozen
class Document:
    """What a TOML file says.

    Attributes:
        values: Its tables and keys, as ``tomllib`` gives them.
        lines: The line of each table, key and array element.
    """

    values: dict[str, Any] = field(repr=False)
    lines: Mapping[KeyPath, int] = field(repr=False)


def read_document(path: Path) -> Document:
    """Read the configuration file at *path*.

    Raises:
        UnusableFile: There is no such file; it is no regular file, over 64 KiB, empty or
            world-writable; it is no UTF-8 or no TOML; or it goes beyond the limits of
            :mod:`hypervisor_observability.config.toml_lines`.
    """
    return parse_document(read_text(path, refuse_world_writable=True))


def parse_document(text: str) -> Document:
    """Parse the *text* of a configuration file.

    Raises:
        UnusableFile: It is empty, no TOML, or beyond the limits.
    """
    # A mark that Windows editors put at the start of a file.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.strip():
        msg = "the file is empty, expected at least one key or comment"
        raise UnusableFile(msg)
    try:
        lines = key_lines(text)
        return Document(tomllib.loads(text), lines)
    except TooComplex as error:
        raise UnusableFile(str(error), error.line) from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(error, text) from None
    except ValueError:
        # An integer that Python refuses to convert; see sys.set_int_max_str_digits.
        line = _longest_digits_line(text)
        raise UnusableFile("not valid TOML: a number has too many digits", line) from None


def _not_toml(error: tomllib.TOMLDecodeError, text: str) -> UnusableFile:
    message = str(error)
    place = _TOML_PLACE.search(message)
    reason = f"not valid TOML: {harmless(_TOML_PLACE.sub('', message))}"
    if place and place[1]:
        return UnusableFile(f"{reason} (column {place[2]})", int(place[1]))
    return UnusableFile(f"{reason} (at the end)", text.rstrip().count("\n") + 1)


def _longest_digits_line(text: str) -> int:
    longest = max(re.finditer(r"[\d_]+", text), key=lambda match: len(match.group()))
    return text.count("\n", 0, longest.start()) + 1


def read_text(
    path: Path, *, max_bytes: int = MAX_FILE_BYTES, refuse_world_writable: bool = False
) -> str:
    """Read a regular file of UTF-8 text, without ever waiting for a pipe or a device.

    Raises:
        UnusableFile: It is missing, not readable, too long, no regular file or no text.
    """
    raw = _read_bytes(path, max_bytes, refuse_world_writable=refuse_world_writable)
    nul = raw.find(b"\0")
    if nul >= 0:
        raise UnusableFile("holds a NUL character, expected UTF-8 text", _line(raw, nul))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"expected UTF-8 text, got the byte 0x{raw[error.start]:02x}"
        raise UnusableFile(message, _line(raw, error.start)) from None


def _line(raw: bytes, position: int) -> int:
    return raw.count(b"\n", 0, position) + 1


def _read_bytes(path: Path, max_bytes: int, *, refuse_world_writable: bool) -> bytes:
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if refuse_world_writable:
            check_not_world_writable(status)
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        msg = f"the file is longer than {max_bytes} bytes"
        raise UnusableFile(msg)
    return raw


def open_regular(path: Path, extra_flags: int = 0) -> int:
    """Open a regular file for reading; not blocked by a pipe that nobody writes to.

    Returns:
        A file descriptor, for the caller to close.

    Raises:
        UnusableFile: It is missing, not readable, or no regular file.
    """
    names = ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")  # not every system has all
    flags = os.O_RDONLY | extra_flags
    for name in names:
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise UnusableFile(_reason(error)) from None
    except ValueError:
        raise UnusableFile("the path holds a NUL character") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        msg = f"expected a regular file, got {_kind(mode)}"
        raise UnusableFile(msg)
    return descriptor


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {reason_of(error)}"


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a device"


def check_not_world_writable(status: os.stat_result) -> None:
    """Refuse a file that everybody may write.

    Raises:
        UnusableFile: They may. On Windows, where the bits mean nothing, it is never raised.
    """
    if os.name == "posix" and status.st_mode & stat.S_IWOTH:
        msg = (
            f"everybody may write the file (mode {stat.S_IMODE(status.st_mode):04o}), "
            "expected one without write permission for others: chmod o-w"
        )
        raise UnusableFile(msg)
