"""Paths of a configuration: made absolute where it is made, and not where they are used.

A daemon changes its working directory once it has started, and what is read or written later
would be elsewhere. Every field of a configuration that holds a path has one of these converters.
"""

import os
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
