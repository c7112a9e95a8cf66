"""Events from before those that are kept: read from the history, a part at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from hypervisor_journal.reading.history import JournalHistory
from hypervisor_observability.serving.pages import Refused, Request
from hypervisor_observability.stores import History, HistoryContext
from hypervisor_web.feed import endpoints
from hypervisor_web.feed.endpoints import Feed, Surroundings
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from tests.plugins.journal.journals import make_event, write
from tests.plugins.web.entries import BEGUN

COUNT = 300
LATER = 1 << 52


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    directory = tmp_path_factory.mktemp("journal")
    write(directory, *(make_event(number) for number in range(COUNT)))
    return over(directory)


def over(directory: Path) -> Feed:
    """Give the feed over a journal."""

    @contextmanager
    def opened() -> Iterator[History]:
        history = JournalHistory.of(directory, HistoryContext(notice=lambda _: None))
        try:
            yield history
        finally:
            history.close()

    surroundings = Surroundings(title="", place=str(directory), history=opened)
    return Feed(Observers(Ring(10, 1 << 20)), surroundings)


def past(feed: Feed, **query: object) -> Any:
    page = feed.past(Request(query={key: str(value) for key, value in query.items()}))
    return json.loads(page.body)


def all_of(feed: Feed, **query: object) -> list[list[Any]]:
    """Give all rows, oldest first, as a page has them that goes on until there are no more."""
    rows: list[list[Any]] = []
    until: object = LATER
    while until is not None:
        answer = past(feed, until=until, **query)
        assert answer["more"] == (answer["until"] is not None)
        rows = answer["rows"] + rows
        until = answer["until"]
    return rows


def numbers(rows: list[list[Any]]) -> list[int]:
    return [int(row[9].rpartition("number=")[2].split()[0]) for row in rows]


@pytest.mark.parametrize("count", [7, 100, COUNT, 1_000])
def test_whole_past_is_given_in_parts_each_event_once(feed: Feed, count: int) -> None:
    rows = all_of(feed, count=count)

    assert numbers(rows) == list(range(COUNT))
    assert {row[0] for row in rows} == {None}  # they have no position in the ring


def test_past_is_filtered(feed: Feed) -> None:
    assert numbers(all_of(feed, filter="number=123", count=2)) == [123]
    assert all_of(feed, filter="--type no.such", count=2) == []


def test_search_that_takes_long_ends_and_goes_on_where_it_was(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_SEARCH_SECONDS", -1.0)

    answer = past(feed, until=LATER, filter="number=123")

    assert answer["rows"] == []
    assert answer["more"]
    assert numbers(all_of(feed, filter="number=123")) == [123]


def test_past_ends_where_the_filter_does(feed: Feed) -> None:
    rows = all_of(feed)
    bounded = all_of(feed, filter="--until 1970-01-12T13:46:44Z", count=2)

    assert numbers(bounded) == [0, 1, 2, 3, 4]  # the first one is of 13:46:40
    assert numbers(past(feed, until=rows[100][1], count=3)["rows"]) == [97, 98, 99]


@pytest.mark.parametrize("count", [1, 7, 1_000])
@pytest.mark.parametrize("filter_", ["", "number", "--type no.such"])
def test_events_of_one_microsecond_are_all_given_once(
    tmp_path: Path, count: int, filter_: str
) -> None:
    write(tmp_path, *(evolve(make_event(number), timestamp=BEGUN) for number in range(30)))
    feed = over(tmp_path)
    with feed.surroundings.history() as history:  # type: ignore[misc]
        feed.observers.take(history.events(limit=9))
    assert feed.observers.ring.next == 9

    rows: list[list[Any]] = []
    asked: dict[str, Any] = {"until": round(BEGUN * 1e6), "position": 0}
    while asked["until"] is not None:
        answer = past(feed, count=count, filter=filter_, **asked)
        rows[:0] = answer["rows"]
        asked = {"until": answer["until"]}

    assert numbers(rows) == ([] if "no.such" in filter_ else list(range(21)))


def test_moment_is_needed(feed: Feed) -> None:
    with pytest.raises(Refused, match="until: expected a moment") as caught:
        past(feed)
    assert caught.value.status is HTTPStatus.BAD_REQUEST
