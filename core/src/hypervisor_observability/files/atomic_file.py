"""Replace a file at once, so that nobody reads half of it.

Every file that is replaced as a whole is replaced here. Only a regular file gives way, or
nothing: a device, a FIFO, a socket, a symbolic link or a directory of that name stays what it is.
"""

import contextlib
import errno
import os
import re
import stat
import sys
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_RANDOM_BYTES = 8
_TRIES = 5
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def replace_file(
    path: Path,
    data: bytes,
    *,
    sync: bool = False,
    mode: int = 0o600,
    make_folder: bool = True,
) -> None:
    """Have *path* hold *data*: at each moment it holds all of the old or all of the new.

    Args:
        path: A regular file, or nothing yet.
        data: All of it.
        sync: Whether it has to survive a power cut, its name and the folders made for it too.
        mode: Its permissions, whatever those of the file before and the umask were.
        make_folder: Whether to make its folder where it is missing.

    Raises:
        OSError: It cannot be written, or *path* is something else; it is then what it was.
    """
    _refuse(path, kind_of(path))
    if make_folder:
        _make_folder(path.parent, sync=sync)
    _sweep(path)
    for last in (*[False] * (_TRIES - 1), True):
        try:
            _replace(path, data, mode, sync=sync)
            break
        except FileNotFoundError:
            # On a file system whose locks do not reach its other users, one of them took the
            # temporary file for that of a dead process.
            if last or not path.parent.is_dir():
                raise
    if sync:
        sync_folder(path.parent)


def write_where_told(path: Path, data: bytes) -> None:
    """Write *data* to what a user named: into stdout, a pipe or a character device, else a file.

    A FIFO of another user is refused: in a shared folder, anybody may have put it there.

    Raises:
        OSError: It cannot be written, or is not to be.
    """
    found = _status(path, follow=True)
    if found is not None and _is_stdout(found):
        _write_to_stdout(data)
        return
    kind = None if found is None else stat.S_IFMT(found.st_mode)
    if found is None or kind not in {stat.S_IFIFO, stat.S_IFCHR}:
        replace_file(path, data, make_folder=False)
        return
    if kind == stat.S_IFIFO and found.st_uid not in {os.geteuid(), 0}:
        raise OSError(errno.EPERM, "a FIFO of another user is not written to", str(path))
    with path.open("wb") as file:  # a FIFO waits for its reader
        file.write(data)


def kind_of(path: Path) -> str | None:
    """Say what *path* is, other than a regular file; None for one, and for nothing."""
    found = _status(path, follow=False)
    if found is None or stat.S_ISREG(found.st_mode):
        return None
    return _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")


def _refuse(path: Path, kind: str | None) -> None:
    if kind is not None:
        raise OSError(errno.EINVAL, f"{kind} is not replaced by a file", str(path))


def _status(path: Path, *, follow: bool) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=follow)
    except FileNotFoundError:
        return None


def _is_stdout(found: os.stat_result) -> bool:
    try:
        return os.path.samestat(found, os.fstat(sys.__stdout__.fileno()))  # type: ignore[union-attr]  # without one there is no number either
    except (AttributeError, OSError, ValueError):
        return False


def _write_to_stdout(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _replace(path: Path, data: bytes, mode: int, *, sync: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.urandom(_RANDOM_BYTES).hex()}.tmp")
    descriptor = os.open(temporary, _FLAGS, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _lock(descriptor)
            if mode & ~os.fstat(descriptor).st_mode:  # the umask took some away
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if sync:
                os.fsync(descriptor)
            # Still locked: nobody may take it for one that was left.
            if os.name != "nt":
                temporary.replace(path)
        if os.name == "nt":
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _sweep(path: Path) -> None:
    """Remove the temporary files of *path* that processes left which were killed.

    A process that writes one holds its lock. Earlier releases named theirs by process.
    """
    if os.name == "nt":
        return
    ours, earlier = rf"[0-9a-f]{{{2 * _RANDOM_BYTES}}}\.tmp", r"[1-9][0-9]{0,9}"
    left = re.compile(rf"\.{re.escape(path.name)}\.({ours}|{earlier})")
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):  # noqa: PTH208 - names alone: this is done often
            if name.startswith(".") and left.fullmatch(name):
                _remove_unless_held(path.with_name(name))


def _remove_unless_held(temporary: Path) -> None:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    with contextlib.suppress(OSError):
        descriptor = os.open(temporary, flags)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor):
                temporary.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        import fcntl  # Windows has none

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # held, or a file system without locks
        return False
    return True


def _make_folder(folder: Path, *, sync: bool) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if sync:
            sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in *folder* survive a power cut, where the system can promise that."""
    if os.name == "nt":
        return
    held: list[int] = []
    try:
        held.extend(map(os.open, [folder], [os.O_RDONLY | os.O_DIRECTORY]))  # in one step
        os.fsync(held[0])
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs no folders
            raise
    finally:
        for descriptor in held:
            os.close(descriptor)
