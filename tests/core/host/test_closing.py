"""What stops a plugin that only exposes."""

import threading

import pytest

from hypervisor_observability.host.closing import Closing


def test_it_is_called_once_however_often_it_is_asked() -> None:
    calls: list[str] = []
    one = Closing("one", lambda: calls.append(threading.current_thread().name))

    one.ensure_waiting()
    one.ensure_waiting()
    assert not calls
    thread = one.begin()
    one.begin()

    assert thread is not None
    assert thread.join(30)
    assert calls == ["hvobs-one"]


def test_without_a_thread_it_is_called_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refused)
    calls: list[int] = []
    one = Closing("one", lambda: calls.append(1))

    with pytest.raises(RuntimeError):
        one.ensure_waiting()
    assert one.begin() is None
    assert calls == [1]
