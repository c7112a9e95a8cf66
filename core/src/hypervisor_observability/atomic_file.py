"""Replace a file at once, so that nobody reads half of it."""

import contextlib
import os
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)


def replace_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Have *path* hold *data*, for its owner's eyes alone (mode 0600).

    Args:
        path: Its folder is made where it is missing.
        data: All of it.
        sync: Whether it has to survive a power cut.

    Raises:
        OSError: It cannot be written; the file is then what it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, _FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
