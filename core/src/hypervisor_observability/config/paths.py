"""Paths of a configuration: made absolute where it is made, and not where they are used.

A daemon changes its working directory once it has started, and what is read or written later
would be elsewhere. Every field of a configuration that holds a path has one of these converters.
"""

import os
import stat
from pathlib import Path


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Give *path*; a relative one starts at the working directory that the process has now.

    Raises:
        OSError: It is relative, and the working directory is gone.
    """
    return Path(path).absolute()


def optional_absolute_path(path: str | os.PathLike[str] | None) -> Path | None:
    """Do what :func:`absolute_path` does, and leave None as it is."""
    return None if path is None else absolute_path(path)


def working_directory() -> Path | None:
    """Give the one that the process has now; None if it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


def check_plugins_directory(path: Path) -> None:
    """Refuse a directory whose files are not to be run as plugins.

    Raises:
        ValueError: It is missing, not a directory, or everybody may write it, which is never so
            on Windows, where the bits mean nothing.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: expected a directory of plugins") from None
    if not stat.S_ISDIR(mode):
        raise ValueError(f"{path} is not a directory: expected one with a file for each plugin")
    if os.name == "posix" and mode & stat.S_IWOTH:
        raise ValueError(
            f"everybody may write the directory {path} (mode {stat.S_IMODE(mode):04o}), expected"
            " one without write permission for others: chmod o-w"
        )
