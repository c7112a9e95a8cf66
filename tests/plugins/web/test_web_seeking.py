"""Places among many events are found without reading the events."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor_observability import EventType
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.stores import Entry
from hypervisor_web.feed.moments import Moments
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from hypervisor_web.feed.seeking import Seeking
from tests.plugins.web.entries import BEGUN, entry

MIB = 1024 * 1024
SECOND = 1_000_000  # in microseconds
KINDS = (EventType.SESSION_CREATED, EventType.VFS_WRITE, EventType.SAGA_STEP_FAILED)
FAILED = EventType.SAGA_STEP_FAILED
FILTERS: dict[str, frozenset[EventType]] = {
    "": frozenset(KINDS),
    "--type 'saga.*'": frozenset({FAILED}),
    "--type 'vfs.*'": frozenset({EventType.VFS_WRITE}),
}
"""Filters, with the types that they leave."""


def seeking_over(entries: Sequence[Entry], most: int = 100_000) -> Seeking:
    ring = Ring(most, 64 * MIB)
    moments = Moments(ring)
    observers = Observers(ring, [moments])
    observers.take(entries)
    return Seeking(observers, moments)


def asked(seeking: Seeking, path: str, **query: object) -> Any:
    page = seeking.pages()[path](Request(query={key: str(one) for key, one in query.items()}))
    return json.loads(page.body)


@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=60),
    times=st.lists(st.integers(0, 50), min_size=60, max_size=60),
    most=st.sampled_from([5, 100]),
    text=st.sampled_from(sorted(FILTERS)),
    parts=st.integers(1, 20),
)
def test_parts_count_each_event_of_the_view_once(
    kinds: list[EventType], times: list[int], most: int, text: str, parts: int
) -> None:
    entries = [
        entry(number, kind, timestamp=BEGUN + times[number]) for number, kind in enumerate(kinds)
    ]
    there = kinds[-most:]

    found = asked(seeking_over(entries, most), "/api/density", filter=text, parts=parts)

    shown = [kind for kind in there if kind in FILTERS[text]]
    assert sum(found["counts"]) == len(shown) == found["next"] - found["oldest"]
    assert sum(found["wrong"]) == shown.count(FAILED)
    assert len(found["firsts"]) == (parts if shown else 0)
    ends = [*found["firsts"][1:], found["next"]][: len(found["firsts"])]
    for first, end, count in zip(found["firsts"], ends, found["counts"], strict=True):
        assert end - first == count


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=60),
    most=st.sampled_from([5, 100]),
    text=st.sampled_from(sorted(FILTERS)),
    start=st.integers(-1, 61),
)
def test_next_that_went_wrong_is_found_on_both_sides(
    kinds: list[EventType], most: int, text: str, start: int
) -> None:
    entries = [entry(number, kind) for number, kind in enumerate(kinds)]
    seeking = seeking_over(entries, most)
    gone = max(0, len(kinds) - most)
    view = [number for number, kind in enumerate(kinds) if number >= gone and kind in FILTERS[text]]
    oldest = asked(seeking, "/api/density", filter=text)["oldest"]
    wrong = [index for index, number in enumerate(view) if kinds[number] is FAILED]

    after = asked(seeking, "/api/seek", filter=text, after=max(0, oldest + start))
    before = asked(seeking, "/api/seek", filter=text, before=max(0, oldest + start))

    place = max(0, oldest + start) - oldest
    later = [index for index in wrong if index > place]
    earlier = [index for index in wrong if index < place]
    assert after["ordinal"] == (oldest + later[0] if later else None)
    assert after["position"] == (view[later[0]] if later else None)
    assert before["ordinal"] == (oldest + earlier[-1] if earlier else None)


def test_parts_are_of_equal_time() -> None:
    entries = [entry(0), entry(1), entry(2), entry(8, FAILED), entry(10)]

    found = asked(seeking_over(entries), "/api/density", parts=5)

    assert (found["begun"], found["ended"]) == (BEGUN * SECOND, (BEGUN + 10) * SECOND)
    assert found["counts"] == [2, 1, 0, 0, 2]
    assert found["wrong"] == [0, 0, 0, 0, 1]
    assert found["firsts"] == [0, 2, 3, 3, 3]


def test_clock_that_steps_back_does_not_confuse_the_order() -> None:
    entries = [entry(0), entry(10), entry(3), entry(12)]

    found = asked(seeking_over(entries), "/api/density", parts=2)

    # The second one is taken to have been from the future.
    assert found["firsts"] == [0, 3]
    assert found["counts"] == [3, 1]


def test_position_is_found_in_a_view() -> None:
    kinds = [EventType.VFS_WRITE, EventType.SESSION_CREATED, EventType.VFS_WRITE]
    seeking = seeking_over([entry(number, kind) for number, kind in enumerate(kinds)])
    oldest = asked(seeking, "/api/density", filter="--type vfs.write")["oldest"]

    found = asked(seeking, "/api/seek", filter="--type vfs.write", position=1)

    assert found == {"ordinal": oldest + 1, "position": 2}
    assert asked(seeking, "/api/seek", position=3) == {"ordinal": None, "position": None}
    assert asked(seeking, "/api/seek", position=1) == {"ordinal": 1, "position": 1}


def test_moments_are_forgotten_with_their_events() -> None:
    entries = [entry(number, FAILED) for number in range(20_000)]

    seeking = seeking_over(entries, 100)

    found = asked(seeking, "/api/density", parts=2)
    assert found["counts"] == found["wrong"] == [50, 50]
    assert found["begun"] == (BEGUN + 19_900) * SECOND
    assert len(seeking.moments.wrong) < 10_000


def test_question_without_a_place_is_refused() -> None:
    seeking = seeking_over([entry(0)])

    with pytest.raises(Refused, match="expected position, after or before"):
        asked(seeking, "/api/seek")
    with pytest.raises(Refused, match="colour"):
        asked(seeking, "/api/density", filter="--colour red")


def times_of(entries: Sequence[Entry], most: int = 100_000) -> tuple[int, int]:
    found = asked(seeking_over(entries, most), "/api/density", parts=10)
    return found["begun"], found["ended"]


def test_one_event_from_the_future_does_not_stop_the_clock_of_the_others() -> None:
    entries = [entry(number, timestamp=BEGUN + number) for number in range(100)]
    entries[50] = entry(50, timestamp=BEGUN + 3_000_000_000)

    assert times_of(entries) == times_of(
        [entry(0, timestamp=BEGUN), entry(1, timestamp=BEGUN + 99)]
    )


def test_one_event_from_the_past_does_not_take_the_others_along() -> None:
    entries = [entry(number, timestamp=BEGUN + number) for number in range(400)]
    entries[-1] = entry(399, timestamp=BEGUN - 3_000)

    assert times_of(entries) == times_of(
        [entry(0, timestamp=BEGUN), entry(1, timestamp=BEGUN + 398)]
    )


def test_clock_that_was_set_back_counts_again_once_the_events_before_are_gone() -> None:
    ahead = [entry(number, timestamp=BEGUN + 3_000_000) for number in range(500)]
    after = [entry(number, timestamp=BEGUN + number) for number in range(500, 9_000)]

    begun, ended = times_of([*ahead, *after], most=100)

    assert ended - begun == 99 * SECOND
