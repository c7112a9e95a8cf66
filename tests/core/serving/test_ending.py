"""The end of a stream, told to whoever makes it."""

from hypervisor_observability.serving.ending import Ending


def test_whoever_waits_is_woken_once() -> None:
    woken: list[str] = []
    ending = Ending()
    ending.call(lambda: woken.append("first"))
    assert not ending.is_set()

    ending.set("the viewer has gone")
    ending.set("the server stops")

    assert woken == ["first"]
    assert ending.why == "the viewer has gone"


def test_whoever_comes_late_is_woken_at_once() -> None:
    woken: list[str] = []
    ending = Ending()
    ending.set("the server stops")
    ending.call(lambda: woken.append("late"))

    assert ending.is_set()
    assert woken == ["late"]
