"""What stops a plugin that only exposes."""

import threading

import pytest
from attrs import define, field

from hypervisor_observability import Observability, PluginContext, hookimpl


@define(eq=False)
class Exposing:
    """Notes the threads that stop it."""

    name: str = "exposing"
    stopped_in: list[str] = field(factory=list)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        pass

    @hookimpl
    def stop(self) -> None:
        self.stopped_in.append(threading.current_thread().name)


def test_it_is_stopped_once_in_a_thread_of_its_own_however_often_that_is_asked_for() -> None:
    plugin = Exposing()
    with Observability(plugins=[plugin]) as observability:
        reader = observability._group.readers["exposing"]
        reader.ensure_stoppable()
        reader.ensure_stoppable()
        assert not plugin.stopped_in
        thread = reader.stop_exposing()
        reader.stop_exposing()

        assert thread is not None
        assert thread.join(30)
        assert plugin.stopped_in == ["hvobs-exposing"]
    assert plugin.stopped_in == ["hvobs-exposing"]


def test_without_a_thread_it_is_stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    plugin = Exposing()
    observability = Observability(plugins=[plugin]).start()
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError):
        observability._group.readers["exposing"].ensure_stoppable()

    observability.stop()
    assert plugin.stopped_in == [threading.current_thread().name]
