"""Which processes below ``hvobs run`` emit events: a line for each, in a file that they share.

The program says at its end how many there were. The first of them makes the file, and the program
removes it; its name is nobody's to guess.
"""

import os
import secrets
import tempfile

from attrs import frozen

VARIABLE = "HYPERVISOR_OBSERVABILITY_RUN_CHILDREN"
"""Names the file."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


@frozen
class Children:
    """Processes below a program that have emitted events.

    Attributes:
        count: How many.
        store: What keeps their events; empty where nothing does.
    """

    count: int = 0
    store: str = ""


def new_path() -> str:
    """Name a file that is not there, and that no other user can foresee."""
    return os.path.join(tempfile.gettempdir(), f"hvobs-run-{secrets.token_hex(16)}")  # noqa: PTH118 - a name for the environment


def note(path: str, store: str) -> None:
    """Say that this process emits events. One that cannot be said is not counted.

    Args:
        path: The file.
        store: What keeps them; empty where nothing does.
    """
    try:
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            os.write(descriptor, f"{os.getpid()} {store}\n".encode())
        finally:
            os.close(descriptor)
    except OSError:
        return


def take(path: str) -> Children:
    """Give what was said so far, and remove the file."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a name of the environment
            told = dict(line.rstrip("\n").split(" ", 1) for line in file)
        os.unlink(path)  # noqa: PTH108 - likewise
    except (OSError, ValueError):  # there is none, or somebody else has written to it
        return Children()
    return Children(len(told), next((store for store in told.values() if store), ""))
