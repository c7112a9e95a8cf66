"""Names of hosts: looked up beside whoever asks, again on change, and never waited for long."""

import os
import socket
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from hypervisor_observability.network import Address, Deadline, Lookup, system_addresses
from tests.programs import run
from tests.resolvers import Names, at
from tests.waiting import wait_until

SECONDS = 30


def lookup(names: Names, *, seconds: float = 3_600, wait: float = SECONDS) -> Lookup:
    return Lookup("stats.example", 8125, socket.SOCK_DGRAM, names, seconds, wait)


def test_name_is_asked_for_once_while_its_answer_is_good(names: Names) -> None:
    names.answer = [at("192.0.2.1")]
    looked_up = lookup(names)

    assert looked_up.addresses() == looked_up.addresses() == (at("192.0.2.1"),)
    assert names.asked_in == ["hvobs-lookup"]


def test_answer_of_many_addresses_is_cut_and_has_no_twins(names: Names) -> None:
    names.answer = [at("192.0.2.1")] * 3 + [at(f"192.0.2.{number}") for number in range(1, 200)]

    assert lookup(names).addresses() == tuple(at(f"192.0.2.{number}") for number in range(1, 65))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("no words"), "no words"),
        (UnicodeError("label too long"), "UnicodeError: label too long"),
        (RuntimeError("broken"), "RuntimeError: broken"),
        ([], "the name has no address"),
    ],
)
def test_name_that_leads_nowhere_says_why_and_is_asked_for_again(
    names: Names, answer: Sequence[Address] | Exception, said: str
) -> None:
    names.answer = answer
    looked_up = lookup(names)
    for _ in range(2):
        with pytest.raises(OSError, match=said):
            looked_up.addresses()
    names.answer = [at("192.0.2.1")]

    assert looked_up.addresses() == (at("192.0.2.1"),)
    assert len(names.asked_in) == 3


def test_system_that_refuses_a_thread_is_told_and_asked_again(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.answer = [at("192.0.2.1")]
    looked_up = lookup(names)
    with monkeypatch.context() as patched:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="can't start new thread"):
            looked_up.addresses()

    assert looked_up.addresses() == (at("192.0.2.1"),)


def test_slow_answer_is_not_waited_for_but_taken_when_it_comes(names: Names) -> None:
    names.answer = [at("192.0.2.1")]
    names.open.clear()
    looked_up = lookup(names, wait=0.01)
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s to where stats\.example"):
            looked_up.addresses()
    assert len(names.asked_in) == 1  # one question, however often somebody wants to know
    names.open.set()

    def answered() -> bool:
        try:
            return looked_up.addresses() == (at("192.0.2.1"),)
        except TimeoutError:
            return False

    wait_until(answered, timeout=SECONDS)


def test_known_address_is_used_while_a_new_answer_is_awaited(names: Names) -> None:
    names.answer = [at("192.0.2.1")]
    looked_up = lookup(names, seconds=0.001)
    looked_up.addresses()
    names.open.clear()
    names.answer = [at("192.0.2.2")]
    time.sleep(0.002)

    assert looked_up.addresses() == (at("192.0.2.1"),)
    names.open.set()
    wait_until(lambda: looked_up.addresses() == (at("192.0.2.2"),), timeout=SECONDS)


def test_known_address_outlives_a_failing_and_a_slow_server_of_names(names: Names) -> None:
    names.answer = [at("192.0.2.1")]
    looked_up = lookup(names)
    looked_up.addresses()
    names.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    looked_up.look_again()

    assert looked_up.addresses() == (at("192.0.2.1"),)
    names.open.clear()
    looked_up.wait_seconds = 0.01
    looked_up.look_again()
    assert looked_up.addresses() == (at("192.0.2.1"),)


def test_address_is_taken_as_it_is() -> None:
    def never(*_: object) -> Sequence[Address]:
        raise AssertionError

    for host in ("127.0.0.1", "::1"):
        (address,) = Lookup(host, 8125, socket.SOCK_DGRAM, system_addresses).addresses()
        assert address.place[:2] == (host, 8125)
    assert "localhost" not in {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match="AssertionError"):
        Lookup("localhost", 8125, socket.SOCK_DGRAM, never).addresses()


def test_system_tells_addresses_and_that_there_are_none() -> None:
    assert at("127.0.0.1") in system_addresses("localhost", 8125, socket.SOCK_DGRAM)
    with pytest.raises(UnicodeError):
        system_addresses("a" * 70 + ".example", 8125, socket.SOCK_DGRAM)


def test_silent_name_server_holds_one_thread_however_often_it_is_asked(names: Names) -> None:
    names.open.clear()
    before = threading.active_count()

    for _ in range(20):
        with pytest.raises(TimeoutError, match=r"to where stats\.example is"):
            lookup(names, wait=0.01).addresses()

    assert threading.active_count() <= before + 1
    assert len(names.asked_in) == 1


def test_patience_ends_with_the_callers_deadline(names: Names) -> None:
    names.open.clear()
    began = time.monotonic()

    with pytest.raises(TimeoutError, match="no answer within"):
        lookup(names).addresses(Deadline.after(0.05))

    assert time.monotonic() - began < SECONDS / 2


def test_failure_that_an_earlier_try_asked_for_is_not_taken_for_an_answer_of_now(
    names: Names,
) -> None:
    names.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    names.open.clear()
    looked_up = lookup(names)
    with pytest.raises(TimeoutError):
        looked_up.addresses(Deadline.after(0.01))
    names.open.set()
    assert looked_up._pending is not None
    assert looked_up._pending.ready.wait(SECONDS)
    names.answer = [at("192.0.2.1")]

    assert looked_up.addresses() == (at("192.0.2.1"),)


FORKS = """
import os, socket, threading, time
from hypervisor_observability.network import Address, Deadline, Lookup
silent, parent = threading.Event(), os.getpid()
def resolve(host, port, kind):
    if os.getpid() == parent:
        silent.wait(60)
    return [Address(socket.AF_INET, ("192.0.2.1", port))]
lookup = Lookup("stats.example", 1, socket.SOCK_STREAM, resolve, wait_seconds=20)
try:
    lookup.addresses(Deadline.after(0.1))
except TimeoutError:
    pass
child = os.fork()
if child == 0:
    os._exit(0 if len(lookup.addresses()) == 1 else 1)
print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_child_of_a_fork_does_not_wait_for_its_parents_question() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS]

    done = run(command, timeout=120, check=True)

    assert done.stdout.strip() == "0"
