"""Poisonous items are found with few further offers, and all others are accepted once."""

import math
import random
from collections.abc import Sequence

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Reject, RetryLater
from hypervisor_observability.delivery.breaker import BREAKER_FAILURES, MAX_RETRY_SECONDS, Breaker
from hypervisor_observability.delivery.offering import (
    MAX_REFUSED_IN_A_ROW,
    Offering,
    OfferSize,
    Send,
)


def offering(size: int) -> Offering[int]:
    """Have items offered that are their own places."""
    return Offering({}, range(size), range(size))


def offered(size: int, send: Send[int], knows: OfferSize | None = None) -> Offering[int]:
    """Offer *size* items once."""
    one = offering(size)
    one.offer(send, knows)
    return one


class Backend:
    def __init__(self, poison: set[int], error: type[Exception] = ValueError) -> None:
        self.poison = poison
        self.error = error
        self.accepted: list[int] = []
        self.calls = 0

    def send(self, items: Sequence[int]) -> None:
        assert items
        self.calls += 1
        if self.poison.intersection(items):
            raise self.error("no")
        self.accepted += items


@given(size=st.integers(1, 700), data=st.data())
def test_all_but_the_poisonous_are_accepted_once_and_in_order(
    size: int, data: st.DataObject
) -> None:
    poison = data.draw(st.sets(st.integers(0, size - 1), max_size=6))
    backend = Backend(poison, data.draw(st.sampled_from([ValueError, Reject])))
    one = offering(size)
    while one.left():
        before = one.unsettled()
        failure = one.offer(backend.send)
        assert one.unsettled() < before
        assert (failure is None) == (not one.unsettled())

    assert set(one.refused) == poison
    assert backend.accepted == [item for item in range(size) if item not in poison]
    assert one.accepted == len(backend.accepted)


@pytest.mark.parametrize("error", [Reject, ValueError])
def test_one_poisonous_item_in_512_takes_few_further_calls(error: type[Exception]) -> None:
    for place in range(512):
        backend = Backend({place}, error)
        assert list(offered(512, backend.send).refused) == [place]
        assert backend.calls - 1 <= 12


@define
class Moody:
    """A backend that refuses large batches, poisonous items, and now and then whatever comes."""

    most: int
    poison: set[int]
    bad_moments: set[int]
    error: type[Exception] = Reject
    accepted: list[int] = field(factory=list)
    refused_last: Sequence[int] = ()
    twice_alone: set[int] = field(factory=set)
    sizes: list[int] = field(factory=list)

    def send(self, items: Sequence[int]) -> None:
        assert items
        bad = len(self.sizes) in self.bad_moments
        self.sizes.append(len(items))
        if bad or len(items) > self.most or self.poison.intersection(items):
            if len(items) == 1 and self.refused_last == items:
                self.twice_alone.add(items[0])
            self.refused_last = items
            raise ValueError("500") if bad else self.error("no")
        self.refused_last = ()
        self.accepted += items


@given(data=st.data())
def test_only_what_was_refused_alone_and_alone_again_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    backend = Moody(
        most=data.draw(st.integers(1, 400)),
        poison=data.draw(st.sets(st.integers(0, size - 1), max_size=6)),
        bad_moments=data.draw(st.sets(st.integers(0, 60), max_size=4)),
        error=data.draw(st.sampled_from([Reject, ValueError])),
    )
    one, knows = offering(size), OfferSize()
    while one.left():
        one.offer(backend.send, knows)

    refused = one.refused.keys()
    assert backend.poison <= refused
    assert refused <= backend.twice_alone
    assert backend.accepted == [item for item in range(size) if item not in refused]
    chunks = 4 * size / min(size, backend.most)
    search = 2 * math.log2(size) + 6
    bad = len(backend.poison) + len(backend.bad_moments)
    assert len(backend.sizes) <= chunks + search * (2 + bad + math.log2(chunks))


@given(
    size=st.integers(1, 600),
    moment=st.integers(0, 20),
    poison=st.none() | st.integers(0, 599),
    error=st.sampled_from([Reject, ValueError]),
)
def test_one_bad_moment_costs_no_innocent_item(
    size: int, moment: int, poison: int | None, error: type[Exception]
) -> None:
    poisonous = set() if poison is None or poison >= size else {poison}
    backend = Moody(600, poisonous, {moment}, error)

    one = offering(size)
    failure = one.offer(backend.send)

    assert failure is None
    assert set(one.refused) == poisonous


@pytest.mark.parametrize("most", [1, 2, 3, 10, 60, 255, 256, 511])
def test_size_that_passed_is_remembered(most: int) -> None:
    backend, knows = Moody(most, set(), set()), OfferSize()
    calls = []
    for _ in range(20):
        before = len(backend.sizes)
        assert not offered(512, backend.send, knows).refused
        calls.append(len(backend.sizes) - before)

    least = 512 / most
    assert calls[0] <= 2 * least + 40
    assert sum(calls[1:]) <= 19 * 2 * least + 60
    # The backend is asked with everything once, not with each batch.
    assert sum(size > 2 * most for size in backend.sizes) <= 10


def test_size_grows_again_when_larger_batches_are_taken() -> None:
    backend, knows = Moody(10, set(), set()), OfferSize()
    offered(512, backend.send, knows)
    backend.most = 1_000
    for _ in range(20):
        offered(512, backend.send, knows)

    assert backend.sizes[-1] == 512


def test_refusals_are_in_a_row_only_if_nothing_was_accepted_between() -> None:
    for gap in (2, 3, 50):
        poison = set(range(0, 512, gap))
        backend = Backend(poison)

        one = offering(512)
        failure = one.offer(backend.send)

        assert failure is None
        assert set(one.refused) == poison


def test_request_to_retry_ends_the_offering_wherever_it_comes() -> None:
    for calls_until in range(12):
        backend = Backend({40})
        left = [calls_until]

        def send(items: Sequence[int], left: list[int] = left, backend: Backend = backend) -> None:
            if left[0] == 0:
                raise RetryLater("busy")
            left[0] -= 1
            backend.send(items)

        one = offering(64)
        failure = one.offer(send)
        if failure is None:
            assert not one.unsettled()
        else:
            assert isinstance(failure, RetryLater)
            settled = 64 - len(one.unsettled())
            assert settled == len(backend.accepted) + len(one.refused)


def test_when_everything_is_refused_it_is_not_the_items_fault() -> None:
    backend = Backend(set(range(512)))
    one = offering(512)
    failure = one.offer(backend.send)

    assert isinstance(failure, ValueError)
    assert 512 - len(one.unsettled()) == len(one.refused) == MAX_REFUSED_IN_A_ROW
    assert backend.calls < 40


def test_breaker_opens_after_failures_in_a_row_and_closes_with_a_success() -> None:
    breaker = Breaker()
    states = []
    for _ in range(BREAKER_FAILURES):
        states.append(breaker.state.value)
        breaker.fail()
    states.append(breaker.state.value)
    breaker.waiting = True
    states.append(breaker.state.value)
    breaker.succeed()
    states.append(breaker.state.value)

    assert states == ["closed"] * BREAKER_FAILURES + ["half_open", "open", "closed"]


@given(st.lists(st.none() | st.floats() | st.text() | st.booleans(), max_size=60))
def test_time_to_wait_is_bounded_whatever_is_asked_for(afters: list[object]) -> None:
    breaker = Breaker()
    for after in afters:
        assert 0 <= breaker.fail(after) <= MAX_RETRY_SECONDS


@pytest.mark.parametrize(
    "after", [None, 0, -0.0, -5, 1e-9, float("nan"), float("-inf"), "0", True, [], -(10**400)]
)
def test_wait_is_never_shorter_than_the_own_backoff(after: object) -> None:
    for failures in range(8):
        seconds = []
        for asked in (None, after):
            random.seed(failures)
            breaker = Breaker()
            breaker.failures = failures
            seconds.append(breaker.fail(asked))
        assert seconds[1] >= seconds[0] > 0


def test_longer_wait_that_a_backend_asks_for_is_granted_up_to_a_bound() -> None:
    assert [Breaker().fail(after) for after in (60, 299.5, 10**400, float("inf"))] == [
        60,
        299.5,
        MAX_RETRY_SECONDS,
        MAX_RETRY_SECONDS,
    ]
