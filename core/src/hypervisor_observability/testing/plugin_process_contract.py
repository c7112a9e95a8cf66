"""A process forks while a plugin runs."""

import os
import signal
import time
import warnings
from collections.abc import Callable
from unittest import SkipTest

from .plugin_samples import ids
from .plugin_tests import PluginTests

_DELIVERED, _QUIET, _HUNG, _RAISED = 0, 3, 4, 5


class ProcessContract(PluginTests):
    """Tests of what happens in a fork's child, and to its parent."""

    def test_fork_harms_neither_process(self) -> None:
        """The child delivers its events or says that it does not; the parent goes on."""
        if not hasattr(os, "fork"):
            raise SkipTest("this system has no fork")
        before, after, of_child = ids(3, group=40), ids(3, group=41), ids(3, group=42)
        with self.prepared(), self.observed() as observability:
            self.emit(observability, before)
            self.all_delivered(observability, before)

            def child() -> int:
                self.emit(observability, of_child)
                flushed = observability.flush(timeout=self.limit_seconds)
                stopped = observability.stop(self.limit_seconds)
                if not stopped:
                    return _HUNG
                return _DELIVERED if flushed else _QUIET

            code = _in_child(child, 4 * self.limit_seconds)
            assert code not in {None, _HUNG}, (
                "the plugin hangs in a fork's child: it waits for a lock, a queue or a thread of"
                " the parent. Make them in start and keep them on the instance: the child has an"
                " instance of its own"
            )
            assert code in {_DELIVERED, _QUIET}, f"a fork's child died (exit status {code})"
            self.emit(observability, after)
            self.all_delivered(observability, [*before, *after])
            if code == _DELIVERED and not self.running(observability).only_exposes:
                self.have_arrived(of_child)


def _in_child(work: Callable[[], int], timeout: float) -> int | None:
    """Do *work* in a fork's child; give its exit status, None if it had to be killed."""
    with warnings.catch_warnings():
        # Of a fork beside threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = _RAISED
        try:
            code = work()
        finally:
            os._exit(code)  # whatever it raised: the tests are the parent's
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
