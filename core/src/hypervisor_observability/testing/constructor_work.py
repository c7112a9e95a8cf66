"""What a constructor does that it should leave to ``start``, as the interpreter's audit tells."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

_WORK = {
    "open": "opens a file",
    "os.fork": "starts a process",
    "os.listdir": "reads a folder",
    "os.mkdir": "makes a folder",
    "os.posix_spawn": "starts a process",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.scandir": "reads a folder",
    "os.system": "starts a process",
    "signal.pthread_kill": "sends a signal",
    "socket.__new__": "makes a socket",
    "socket.bind": "binds a port",
    "socket.connect": "connects",
    "socket.getaddrinfo": "looks a name up",
    "socket.gethostbyname": "looks a name up",
    "sqlite3.connect": "opens a database",
    "subprocess.Popen": "starts a process",
    "urllib.Request": "sends a request",
}
"""Audit events (https://docs.python.org/3/library/audit_events.html), and what each means."""

_CODE = (".py", ".pyc", ".so", ".pyd")
_MAX_BYTES = 65_536


def work_of_constructor(make: Callable[[], object]) -> list[str]:
    """Make an object in a child process, and give what its ``__init__`` does.

    An audit hook stays until its process ends, so it is added in a fork's child. Where there is no
    fork, only threads are looked for.
    """
    kind = type(make())
    if not hasattr(os, "fork"):
        before = threading.active_count()
        make()
        return ["starts a thread"] if threading.active_count() > before else []
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            done = "\n".join(dict.fromkeys(_watched(kind, make)))
            os.write(writing, done.encode("utf-8", "replace")[:_MAX_BYTES])
        finally:
            os._exit(0)  # the tests are the parent's
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        said = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return said.splitlines()


def _watched(kind: Any, make: Callable[[], object]) -> list[str]:
    done: list[str] = []
    depth = 0
    plain = kind.__init__

    def init(self: object, *arguments: Any, **named: Any) -> None:
        nonlocal depth
        depth += 1
        try:
            plain(self, *arguments, **named)
        finally:
            depth -= 1

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if depth and event in _WORK and not (event == "open" and _is_code(arguments)):
            what = f" ({arguments[0]!r:.100})" if event == "open" else ""
            done.append(_WORK[event] + what)

    start = threading.Thread.start

    def start_noted(thread: threading.Thread) -> None:
        if depth:  # no audit event tells of threads before Python 3.12
            done.append(f"starts a thread ({thread.name})")
        start(thread)

    kind.__init__ = init
    threading.Thread.start = start_noted  # type: ignore[assignment,method-assign]  # the process ends soon
    sys.addaudithook(note)
    make()
    return done


def _is_code(arguments: tuple[Any, ...]) -> bool:
    return str(arguments[0]).endswith(_CODE)
