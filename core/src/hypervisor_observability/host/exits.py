"""The ways in which a process ends, as far as something can be done about them.

``atexit`` runs at a return, ``sys.exit``, an exception and Ctrl-C. It does not run at SIGTERM,
unless asked for here, nor at the end of a child of multiprocessing or of its fork billiard: they
have finalizers of their own, in one registry. Nor do these run in a worker process of Celery,
which ends by ``os._exit``, but Celery sends a signal before that. At ``os._exit`` elsewhere,
``exec``, SIGKILL and a crash nothing runs.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from attrs import define, field

from ..text.limited_log import say

_ending: set[int] = set()
"""This process, while it delivers at its end."""

_AGAIN_SECONDS = 0.01

_SIGNALLED = 128
"""Added to a signal's number it is the exit code that shells give."""


@define(eq=False)
class ExitHandlers:
    """Have *stop* called when the process ends.

    Attributes:
        stop: What is called, with the seconds that it may take where it is not to take its usual
            time; more than once does no harm.
    """

    stop: Callable[..., object]
    _finalizer: Any = field(default=None, init=False)
    _celery: Any = field(default=None, init=False)
    _terminates: bool = field(default=False, init=False)

    def install(self, *, sigterm: bool) -> None:
        """Begin.

        Args:
            sigterm: Whether SIGTERM is to end the process as ``sys.exit(143)`` does. Only the
                main thread can see to that, and not over a handler that is there.
        """
        atexit.register(self._at_exit)
        if _is_child():
            self.install_in_child()
        if sigterm:
            self._install_sigterm()

    def install_in_child(self) -> None:
        """Begin in a process that another one has made: it may run no ``atexit`` functions."""
        if self._terminates:  # in the process that this one was forked from
            self._terminates = False
            self._install_sigterm()
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            self._finalizer = util.Finalize(None, self._at_exit, exitpriority=0)
        celery = sys.modules.get("celery.signals")
        if celery is not None:
            self._celery = celery.worker_process_shutdown
            self._celery.connect(self._at_exit, weak=False)

    def _at_exit(self, **_: object) -> None:
        _ending.add(os.getpid())  # SIGTERM asks for what is under way
        try:
            self.stop()
        except KeyboardInterrupt:
            self.stop(0.0)  # whoever does not wait is told what is lost
        finally:
            _ending.discard(os.getpid())

    def remove(self) -> None:
        """End; the process may go on."""
        atexit.unregister(self._at_exit)
        if self._finalizer is not None:
            self._finalizer.cancel()
            self._finalizer = None
        if self._celery is not None:
            self._celery.disconnect(self._at_exit)
            self._celery = None
        if self._terminates and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) is _exit:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._terminates = False

    def _install_sigterm(self) -> None:
        if _is_of_pool():
            # Terminated while it waits for a lock, where the handler may never run: the pool would
            # wait for ever.
            return
        if threading.current_thread() is not threading.main_thread():
            _warn("not in the main thread, so SIGTERM is left alone")
        elif signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            _warn("SIGTERM has a handler already, which is left alone")
        else:
            signal.signal(signal.SIGTERM, _exit)
            self._terminates = True


def _warn(why: str) -> None:
    say(__name__, "warning", "handle_sigterm: %s", why)


def _is_child() -> bool:
    """Whether multiprocessing or billiard has made this process."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        return True
    billiard = sys.modules.get("billiard.process")
    return billiard is not None and billiard.current_process()._parent_pid is not None


def _is_of_pool() -> bool:
    """Whether a pool of multiprocessing or billiard has made this process."""
    modules = map(sys.modules.get, ("multiprocessing.process", "billiard.process"))
    return any("PoolWorker" in module.current_process().name for module in modules if module)


def _exit(number: int, _frame: FrameType | None) -> None:
    if _fork.holds:
        _fork.struck = True
        return
    if os.getpid() in _ending:
        return
    # An exception unwinds the main thread first: whatever it holds is let go of, and then
    # atexit delivers. Delivering here could wait for what the interrupted code holds.
    sys.exit(_SIGNALLED + number)


class _Fork(threading.local):
    """Holds SIGTERM back while this thread forks, where ``_exit`` handles it.

    Python forgets signals that come before the child has begun, and passes over what is raised
    in the functions that it calls around a fork: either process would live on.

    Attributes:
        holds: Whether a fork is under way.
        struck: Whether SIGTERM came meanwhile.
    """

    holds = False
    struck = False

    def begin(self) -> None:
        """Hold it back, in this thread and so in the child."""
        if signal.getsignal(signal.SIGTERM) is _exit:
            self.holds, self.struck = True, False
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            self.holds = signal.SIGTERM not in blocked

    def end_in_child(self) -> None:
        """Let it through: it ends a child that has emitted nothing, and has nothing to deliver."""
        if self.holds:
            self.holds = False
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def end_in_parent(self) -> None:
        """Let it through, and have it come again where an exception is not passed over."""
        if self.holds:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            self.holds = False
            if self.struck:
                again = threading.Timer(_AGAIN_SECONDS, os.kill, [os.getpid(), signal.SIGTERM])
                again.daemon = True
                again.start()


_fork = _Fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork.begin,
        after_in_child=_fork.end_in_child,
        after_in_parent=_fork.end_in_parent,
    )
