"""Where the events of a session come from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypervisor_journal.config import JournalConfig
from hypervisor_journal.plugin import JournalPlugin
from hypervisor_observability import EventType, HypervisorEvent
from hypervisor_observability.stores import Entry, History, HistoryContext
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from hypervisor_web.session_events import RecordedSessions
from tests.plugins.web import scenario

SESSION = "it's a session"


def entry(number: int, session: str = SESSION) -> Entry:
    event = HypervisorEvent(event_type=EventType.VFS_WRITE, session_id=session)
    return Entry("run", number, event)


def numbers(entries: "object") -> list[int]:
    assert isinstance(entries, list | tuple)
    return [one.sequence for one in entries]


def test_newest_events_of_a_session_are_found_in_the_ring() -> None:
    observers = Observers(Ring(1_000, 1_000_000))
    observers.take([entry(number, SESSION if number % 2 else "other") for number in range(10)])
    sessions = RecordedSessions(observers, None)

    assert numbers(sessions.past(SESSION, 3)) == [5, 7, 9]
    assert numbers(sessions.past("nobody's", 3)) == []


def test_news_go_on_where_the_last_ones_ended() -> None:
    observers = Observers(Ring(1_000, 1_000_000))
    observers.take([entry(0)])
    sessions = RecordedSessions(observers, None)
    begun = sessions.news(SESSION, None)
    assert begun is not None
    observers.take([entry(1), entry(2, "other"), entry(3)])

    found = sessions.news(SESSION, begun[0])
    assert found is not None
    assert numbers(found[1]) == [1, 3]
    again = sessions.news(SESSION, found[0])
    assert again is not None
    assert numbers(again[1]) == []


@pytest.mark.parametrize("place", [0, 10**15])
def test_news_that_are_not_kept_any_more_are_none(place: int) -> None:
    observers = Observers(Ring(2, 1_000_000))
    sessions = RecordedSessions(observers, None)
    begun = sessions.news(SESSION, None)
    assert begun is not None
    observers.take([entry(number) for number in range(10)])

    assert sessions.news(SESSION, begun[0]) is None
    assert sessions.news(SESSION, place) is None


def test_past_of_a_session_comes_from_the_history_where_there_is_one(tmp_path: Path) -> None:
    scenario.record(tmp_path)

    @contextmanager
    def opened() -> Iterator[History]:
        plugin = JournalPlugin(JournalConfig(directory=tmp_path))
        context = HistoryContext(notice=pytest.fail)
        history = plugin.open_history(context)
        try:
            yield history
        finally:
            history.close()

    sessions = RecordedSessions(Observers(Ring(1_000, 1_000_000)), opened)
    found = list(sessions.past(scenario.SESSION, 5))

    assert [one.event.event_type.value for one in found][-2:] == [
        "run.finished",
        "session.terminated",
    ]
    assert len(found) == 5
