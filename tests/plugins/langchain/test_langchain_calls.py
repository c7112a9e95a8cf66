"""What is open: bounded, and remembered for a while."""

from hypervisor_langchain import calls
from hypervisor_langchain.calls import Call, Calls


def test_call_that_has_ended_is_known_for_a_while() -> None:
    known = Calls()
    known.add(first := Call(0, None))
    assert (known.running(0), known.take(0)) == (first, first)

    assert (known.running(0), known.known(0), known.take(0)) == (None, first, None)
    for key in range(1, calls.MAX_ENDED + 1):
        known.add(Call(key, None))
        known.take(key)
    assert known.known(0) is None
    assert len(known) == 0


def test_oldest_of_too_many_is_forgotten() -> None:
    known = Calls()
    for key in range(calls.MAX_CALLS + 1):
        known.add(Call(key, None))

    assert len(known) == calls.MAX_CALLS
    assert known.known(0) is None
    assert known.running(1) is not None


def test_all_that_is_open_is_taken_latest_first() -> None:
    known = Calls()
    for key in range(3):
        known.add(Call(key, None))

    assert [call.key for call in known.take_all()] == [2, 1, 0]
    assert known.take_all() == []
