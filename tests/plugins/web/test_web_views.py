"""What filters leave of the ring."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.errors import FilterError
from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.search.choice import Choice
from hypervisor_web.feed.ring import Ring
from hypervisor_web.feed.views import MOST_VIEWS, Views
from tests.plugins.web.entries import entry

MIB = 1024 * 1024
JOINED, CREATED = EventType.SESSION_JOINED, EventType.SESSION_CREATED


def views_of(ring: Ring) -> Views:
    return Views(ring, AgentNames())


@given(
    parts=some.lists(some.lists(some.booleans(), max_size=400), max_size=8),
    most=some.integers(1, 900),
)
def test_ordinals_rise_by_one_and_stay_with_their_event(parts: list[list[bool]], most: int) -> None:
    ring = Ring(most, 64 * MIB)
    seen: dict[int, int] = {}
    view = views_of(ring).get("--type session.joined")
    number = 0
    for part in parts:
        for wanted in part:
            ring.append(entry(number, JOINED if wanted else CREATED))
            number += 1
        oldest, following = view.look()
        positions = list(view.positions(oldest, following))

        assert [one.event.event_type for _, one in ring.pick(positions)] == [JOINED] * len(
            positions
        )
        assert positions == [
            position for position, one in ring.read(0, ring.next) if one.event.event_type == JOINED
        ]
        for ordinal, position in zip(range(oldest, following), positions, strict=True):
            assert seen.setdefault(ordinal, position) == position


def test_view_without_filter_is_the_ring() -> None:
    ring = Ring(10, 64 * MIB)
    for number in range(25):
        ring.append(entry(number))
    view = views_of(ring).get("  ")

    assert view.look() == (15, 25)
    assert list(view.positions(20, 22)) == [20, 21]


def test_same_filter_is_the_same_view() -> None:
    views = views_of(Ring(10, 64 * MIB))

    assert views.get("--since 5m --wrong") is views.get(" --since 5m --wrong ")
    assert views.get("--wrong") is not views.get("")


def test_views_that_nobody_asks_for_are_forgotten_but_not_those_that_are_streamed() -> None:
    views = views_of(Ring(10, 64 * MIB))
    idle = views.get("idle")
    with views.streamed("streamed") as streamed:
        for number in range(2 * MOST_VIEWS):
            views.get(f"word{number}")

        assert views.get("streamed") is streamed
        again = views.get("idle")
        assert again is not idle
        assert again.begun > idle.look()[1]  # an old ordinal is told from a new one


def test_filter_that_cannot_be_read_makes_no_view() -> None:
    with pytest.raises(FilterError, match="--typ"):
        views_of(Ring(10, 64 * MIB)).get("--typ x")


def test_view_lets_go_of_what_has_left_the_ring() -> None:
    ring = Ring(1_000, 64 * MIB)
    view = views_of(ring).get("--type session.joined")
    for number in range(20_000):
        ring.append(entry(number, JOINED))
        if number % 700 == 0:
            view.look()

    oldest, following = view.look()

    assert following - oldest == 1_000
    assert list(view.positions(oldest, following)) == list(range(19_000, 20_000))
    assert len(view.positions(0, following)) < 10_000


@pytest.mark.parametrize("text", ["--since 5m", "--until 5m"])
def test_time_ago_counts_from_the_first_stream_and_not_from_an_earlier_one(text: str) -> None:
    views = views_of(Ring(10, 64 * MIB))
    with views.streamed(text) as first, views.streamed(f" {text}") as second:
        assert second is first
        assert views.get(text) is first
    assert views.get(text) is first
    with views.streamed(text) as later:
        assert later is not first
        assert views.get(text) is later
    with views.streamed("word") as first, views.streamed("word"):
        pass
    with views.streamed("word") as later:
        assert later is first


def test_filters_are_compared_one_at_a_time_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, comparing, most = Ring(10_000, 64 * MIB), [0], []
    for number in range(3_000):
        ring.append(entry(number, JOINED))
    views, covers = views_of(ring), Choice.covers

    def counted(choice: Choice, event: HypervisorEvent) -> bool:
        comparing[0] += 1
        most.append(comparing[0])
        time.sleep(0)  # another thread's turn, if it may
        comparing[0] -= 1
        return covers(choice, event)

    monkeypatch.setattr(Choice, "covers", counted)
    asking = [views.get(f"--type session.joined --session s{number}") for number in range(3)]
    with ThreadPoolExecutor(len(asking)) as viewers:
        for seen in [viewers.submit(view.look) for view in asking]:
            seen.result(timeout=60)

    assert (len(most), max(most)) == (3 * 3_000, 1)
