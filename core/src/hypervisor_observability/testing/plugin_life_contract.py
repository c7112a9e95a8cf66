"""A plugin starts, stops, leaves nothing behind, and keeps to itself."""

import io
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

from .plugin_samples import ids
from .plugin_tests import PluginTests

_DESCRIPTORS = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")


class LifeContract(PluginTests):
    """Tests of the way from ``start`` to ``stop``."""

    def test_stop_without_start_is_quiet(self) -> None:
        """``stop`` is also called after a ``start`` that raised in its first line."""
        with self.prepared():
            plugin = self.plugin()
            self._quiet("stop() without start()", plugin.stop)

    def test_stop_twice_is_quiet(self) -> None:
        """Stopping what is stopped does nothing."""
        with self.prepared():
            plugin = self.plugin()
            self.call("start", lambda: plugin.start(self.context()))
            self._quiet("the first stop()", plugin.stop)
            self._quiet("the second stop()", plugin.stop)

    def test_plugin_starts_again_after_its_stop(self) -> None:
        """A second one in the same process finds ports and files free."""
        with self.prepared():
            for number in (1, 2):
                of = ids(3, group=10 + number)
                with self.observed() as observability:
                    self.emit(observability, of)
                    self.all_delivered(observability, of)

    def test_two_at_once_do_not_disturb_each_other(self) -> None:
        """Two observabilities in a process have a plugin each: nothing is shared by class."""
        first, second = ids(3, group=13), ids(3, group=14)
        with self.prepared(), self.observed() as observability:
            with self.observed() as other:
                self.emit(other, second)
                self.all_delivered(other, second)
            self.emit(observability, first)
            self.all_delivered(observability, first)

    def test_nothing_is_left_after_stop(self) -> None:
        """No thread, no socket, no file."""
        with self.prepared():
            self._live(20)  # what is made once for the process stays
            before = (set(threading.enumerate()), _descriptors())
            self._live(21)

            def left() -> list[str]:
                threads = set(threading.enumerate()) - before[0]
                opened = _descriptors().items() - before[1].items()
                return [
                    *(f"thread {one.name!r}" for one in threads),
                    *(f"descriptor {number} ({what})" for number, what in opened),
                ]

            self.wait(lambda: not left())
            assert not (rest := left()), (
                f"left after stop(): {', '.join(rest)}. Close files and sockets, and join threads,"
                " in the hook stop"
            )

    def test_process_is_afterwards_as_it_was_before(self) -> None:
        """Logging, signals and other settings of the process are the application's."""
        with self.prepared():
            before = _settings()
            self._live(22)
            after = _settings()
        changed = [name for name, value in before.items() if after[name] != value]
        assert not changed, (
            f"the plugin changed {', '.join(changed)}, and left it so: these belong to the"
            " application. Use context.logger, and timeouts of your own sockets"
        )

    def test_nothing_is_printed(self) -> None:
        """The application's output is its own: ``hvobs run`` may be part of a pipe."""
        said = io.StringIO()
        with self.prepared(), redirect_stdout(said):
            self._live(23)
        assert not said.getvalue(), (
            f"the plugin printed {said.getvalue()!r:.80}: use context.logger. (A plugin that is"
            " there to print is tested with another output)"
        )

    def _live(self, group: int) -> None:
        """Run the plugin for a while."""
        with self.observed() as observability:
            self.emit(observability, ids(3, group))
            observability.flush(timeout=self.limit_seconds)

    def _quiet(self, what: str, function: Callable[[], object]) -> None:
        error = self.call("stop", function).error
        assert error is None, (
            f"{what} raised {type(error).__name__}: {error}. Give what start() opens a value in"
            " __init__ (None), and have stop() close only what is open"
        )


def _descriptors() -> dict[str, str]:
    """Give the open descriptors, and what each is."""
    found = {}
    for entry in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - the names alone
        with suppress(OSError):  # that of the listing itself is closed again
            path = _DESCRIPTORS / entry
            found[entry] = str(path.readlink()) if path.is_symlink() else str(path.stat().st_ino)
    return found


def _settings() -> dict[str, object]:
    root = logging.getLogger()
    return {
        "the handlers of the root logger": tuple(root.handlers),
        "the level of the root logger": root.level,
        "signal handlers": {one: signal.getsignal(one) for one in signal.valid_signals()},
        "socket.setdefaulttimeout": socket.getdefaulttimeout(),
        "socket.getaddrinfo": socket.getaddrinfo,
        "sys.excepthook": sys.excepthook,
        "threading.excepthook": threading.excepthook,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "os.environ": dict(os.environ),
        "the working directory": Path.cwd(),
        "warnings.filters": len(warnings.filters),
    }
