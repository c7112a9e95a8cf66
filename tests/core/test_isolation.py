"""Poisonous items are found with few further offers, and all others are accepted once."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import Reject, RetryLater
from hypervisor_observability.delivery.breaker import (
    BREAKER_FAILURES,
    MAX_RETRY_SECONDS,
    Breaker,
)
from hypervisor_observability.delivery.isolation import MAX_REFUSED_IN_A_ROW, offer


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
    start, refused = 0, set()
    items = list(range(size))
    while start < size:
        outcome = offer(items[start:], backend.send)
        assert outcome.settled
        assert (outcome.failure is None) == (start + outcome.settled == size)
        refused |= {start + place for place in outcome.refused}
        start += outcome.settled

    assert refused == poison
    assert backend.accepted == [item for item in items if item not in poison]


@pytest.mark.parametrize("error", [Reject, ValueError])
def test_one_poisonous_item_in_512_takes_few_further_calls(error: type[Exception]) -> None:
    for place in range(512):
        backend = Backend({place}, error)
        assert list(offer(list(range(512)), backend.send).refused) == [place]
        assert backend.calls - 1 <= 10


def test_refusal_in_company_alone_costs_nobody() -> None:
    accepted: list[int] = []
    errors = [ValueError("once")]

    def send(items: Sequence[int]) -> None:
        if errors:
            raise errors.pop()
        accepted.extend(items)

    outcome = offer(list(range(8)), send)

    assert (outcome.refused, accepted) == ({}, list(range(8)))


def test_request_to_retry_ends_the_offering_wherever_it_comes() -> None:
    for calls_until in range(12):
        backend = Backend({40})
        left = [calls_until]

        def send(items: Sequence[int], left: list[int] = left, backend: Backend = backend) -> None:
            if left[0] == 0:
                raise RetryLater("busy")
            left[0] -= 1
            backend.send(items)

        outcome = offer(list(range(64)), send)
        if outcome.failure is None:
            assert outcome.settled == 64
        else:
            assert isinstance(outcome.failure, RetryLater)
            assert outcome.settled == len(backend.accepted) + len(outcome.refused)


def test_when_everything_is_refused_it_is_not_the_items_fault() -> None:
    backend = Backend(set(range(512)))
    outcome = offer(list(range(512)), backend.send)

    assert isinstance(outcome.failure, ValueError)
    assert outcome.settled == len(outcome.refused) == MAX_REFUSED_IN_A_ROW
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
