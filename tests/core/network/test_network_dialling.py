"""Hosts with several addresses, of which some are dead, under one deadline."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from hypervisor_observability.network import Address, Deadline, Lookup, Routes, connect, dial
from hypervisor_observability.network.dialling import MAX_DIALS

WIDE_SECONDS = 20.0


def at(port: int) -> Address:
    return Address(socket.AF_INET, ("127.0.0.1", port))


def routes_to(*ports: int) -> Routes:
    def resolve(*_: object) -> Sequence[Address]:
        return [at(port) for port in ports]

    return Routes(Lookup("two.example", 1, socket.SOCK_STREAM, resolve, wait_seconds=WIDE_SECONDS))


def dialled(routes: Routes, seconds: float = 2.0) -> Address:
    address, opened = dial(routes, Deadline.after(seconds), connect)
    opened.close()
    return address


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refusing() -> Iterator[list[int]]:
    """Ports that are bound, and that nobody listens on."""
    with ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(12)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in bound]


def test_address_that_drops_packets_leaves_time_for_the_next(
    black_hole: int, listening: int
) -> None:
    began = time.monotonic()

    assert dialled(routes_to(black_hole, listening), 1.0) == at(listening)

    assert time.monotonic() - began >= 0.2  # it was tried


def test_address_that_failed_is_tried_last_next_time(black_hole: int, listening: int) -> None:
    routes = routes_to(black_hole, listening)

    dialled(routes, 1.0)

    assert routes.addresses(Deadline.after(WIDE_SECONDS)) == [at(listening), at(black_hole)]


def test_last_of_many_addresses_is_reached(refusing: list[int], listening: int) -> None:
    assert dialled(routes_to(*refusing[: MAX_DIALS - 1], listening)) == at(listening)


def test_addresses_that_were_too_many_are_tried_next_time(
    refusing: list[int], listening: int
) -> None:
    routes = routes_to(*refusing, listening)

    with pytest.raises(ConnectionRefusedError):
        dialled(routes)

    assert dialled(routes) == at(listening)


def test_deadline_holds_where_every_address_drops_packets(black_hole: int) -> None:
    routes = routes_to(black_hole, black_hole)
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        dialled(routes, 0.3)

    assert time.monotonic() - began < WIDE_SECONDS


def test_host_without_an_address_is_told() -> None:
    with pytest.raises(OSError, match="no address"):
        dialled(routes_to())


def test_address_that_is_forbidden_forbids_the_host(listening: int) -> None:
    routes = routes_to(listening)

    def forbid(address: Address) -> None:
        raise PermissionError(str(address.place[0]))

    routes.check = forbid

    with pytest.raises(PermissionError, match="127"):
        dialled(routes)


def test_deadline_is_one_for_all_that_is_done_within_it() -> None:
    deadline = Deadline.after(WIDE_SECONDS)

    assert deadline.share(2).at < deadline.at
    assert deadline.within(2 * WIDE_SECONDS) == deadline
    assert deadline.within(0.1).at < deadline.at
    assert not deadline.passed
    assert Deadline.after(-1).passed
    with pytest.raises(TimeoutError):
        Deadline.after(-1).left()
    with pytest.raises(TimeoutError):
        Deadline.after(-1).share(2)
