"""A signal ends what waits for it, wherever it arrives."""

import signal
import sys
import threading
from types import FrameType

import pytest

from hypervisor_observability.threads import stop_signals
from hypervisor_observability.threads.stop_signals import SignalEvent, StopSignals


def test_signal_at_any_line_of_waiting_ends_it() -> None:
    """As ``signal`` calls handlers: between two steps of the thread that waits."""
    with StopSignals() as signals:
        signals.running = True
        lines = 0
        struck = True
        while struck:
            signals.stopping = SignalEvent()
            lines, struck = lines + 1, False
            seen = 0

            def trace(frame: FrameType, event: str, _: object, at: int = lines) -> object:
                nonlocal seen, struck
                if frame.f_code.co_filename not in (stop_signals.__file__, threading.__file__):
                    return None
                if event == "line" and not struck:
                    seen += 1
                    if seen == at:
                        struck = True
                        signals._take(signal.SIGINT, frame)
                return trace

            sys.settrace(trace)  # type: ignore[arg-type]  # the same, more loosely
            try:
                ended = signals.stopping.wait(0.01)
            finally:
                sys.settrace(None)
            assert ended or not struck
    assert lines > 2


def test_event_wakes_all_who_wait_and_stays_set() -> None:
    event, woken = SignalEvent(), list[bool]()
    waiting = [threading.Thread(target=lambda: woken.append(event.wait(30))) for _ in range(4)]
    for one in waiting:
        one.start()
    assert not event.wait(0.01)
    event.set()
    event.set()
    for one in waiting:
        one.join(30)

    assert woken == [True] * 4
    assert event.is_set()
    assert event.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="sends itself a signal")
def test_signal_ends_a_wait_without_end() -> None:
    with StopSignals() as signals:
        signals.running = True
        main = threading.main_thread().ident
        assert main is not None
        later = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGTERM))
        later.start()
        assert signals.stopping.wait(30)
        later.join()
