"""What viewers are sent: as it comes, in order, and what is left out is told."""

import json
import threading
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from hypervisor_observability import EventType
from hypervisor_observability.serving.ending import Ending
from hypervisor_web.feed import live
from hypervisor_web.feed.live import Stream
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.ring import Ring
from tests.plugins.web.entries import entry

MIB = 1024 * 1024


@define(eq=False)
class Viewer:
    """A viewer that takes what it is sent, when it wants."""

    observers: Observers
    text: str = ""
    place: int | None = None
    ending: Ending = field(factory=Ending)
    lines: Iterator[bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        view = self.observers.views.get(self.text)
        self.lines = Stream(self.observers, view, self.ending).lines(self.place)

    def next(self) -> dict[str, Any]:
        line = next(self.lines)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        message: dict[str, Any] = json.loads(line)
        return message

    def until(self, kind: str) -> list[dict[str, Any]]:
        """Give messages up to the first of a kind."""
        messages = [self.next()]
        while messages[-1]["t"] != kind:
            messages.append(self.next())
        return messages

    def rows_to(self, ordinal: int) -> list[int]:
        """Give the ordinals that are sent, up to one, with those that are left out negative."""
        got: list[int] = []
        while not got or abs(got[-1]) < ordinal:
            message = self.next()
            if message["t"] == "rows":
                got += range(message["first"], message["first"] + len(message["rows"]))
            elif message["t"] == "skipped":
                got += (
                    -one for one in range(message["first"], message["first"] + message["count"])
                )
        return got


def observers_with(count: int, most: int = 100_000) -> Observers:
    observers = Observers(Ring(most, 64 * MIB))
    add(observers, count)
    return observers


def add(observers: Observers, count: int, **fields: Any) -> None:
    first = observers.ring.next
    observers.take([entry(number, **fields) for number in range(first, first + count)])


def test_viewer_begins_with_the_newest_and_gets_all_that_comes() -> None:
    observers = observers_with(500)
    viewer = Viewer(observers)

    begun = viewer.next()
    assert (begun["t"], begun["oldest"], begun["next"]) == ("view", 0, 500)
    assert viewer.rows_to(499) == list(range(400, 500))
    for _ in range(10):
        add(observers, 30)
        assert viewer.rows_to(observers.ring.next - 1)[-1] == observers.ring.next - 1


def test_viewer_goes_on_where_it_was() -> None:
    observers = observers_with(500)
    viewer = Viewer(observers, place=123)

    viewer.next()
    assert viewer.rows_to(499) == list(range(123, 500))


def test_viewer_that_comes_from_another_view_begins_with_the_newest() -> None:
    observers = observers_with(500)

    for place in (501, 1 << 40):
        viewer = Viewer(observers, place=place)
        viewer.next()
        assert viewer.rows_to(499) == list(range(400, 500))


def test_viewer_that_slept_for_long_is_told_what_it_missed() -> None:
    observers = observers_with(1_000, most=600)
    viewer = Viewer(observers, place=10)
    viewer.next()

    assert viewer.next() == {
        "t": "skipped",
        "first": 10,
        "count": 390,
        "oldest": 400,
        "next": 1_000,
    }
    assert viewer.rows_to(999) == list(range(400, 1_000))


def test_flood_is_thinned_and_every_row_is_sent_or_told() -> None:
    observers = observers_with(0)
    viewer = Viewer(observers)
    viewer.next()
    got: list[int] = []
    for _ in range(10):
        add(observers, 3_000)
        got += viewer.rows_to(observers.ring.next - 1)

    assert [abs(one) for one in got] == list(range(30_000))
    assert got[-1] == 29_999  # the newest are not what is left out
    assert sum(one < 0 for one in got) > 10_000


def test_short_burst_is_sent_whole() -> None:
    observers = observers_with(0)
    viewer = Viewer(observers)
    viewer.next()

    add(observers, live.MOST_ROWS)

    assert viewer.rows_to(live.MOST_ROWS - 1) == list(range(live.MOST_ROWS))


def test_slow_viewer_does_not_hold_up_another() -> None:
    observers = observers_with(10)
    slow, quick = Viewer(observers), Viewer(observers)
    slow.next()
    quick.next()
    for _ in range(20):
        add(observers, 1)
        quick.rows_to(observers.ring.next - 1)

    assert slow.rows_to(29) == list(range(30))  # a place in the ring is all that was kept for it


def test_filter_leaves_out_and_ordinals_stay_contiguous() -> None:
    observers = observers_with(0)
    viewer = Viewer(observers, "--type session.joined")
    begun = viewer.next()["next"]
    add(observers, 100)
    add(observers, 3, event_type=EventType.SESSION_JOINED)
    add(observers, 100)
    add(observers, 2, event_type=EventType.SESSION_JOINED)

    rows = viewer.until("rows")[-1]

    assert rows["first"] == begun
    assert [row[0] for row in rows["rows"]] == [100, 101, 102, 203, 204]


def test_notices_are_sent_once() -> None:
    observers = observers_with(1)
    observers.notice("before")
    viewer = Viewer(observers)
    viewer.until("rows")
    for _ in range(3):
        observers.notice("the disk is on fire")
        observers.notice("the roof, too")
    observers.close()

    told = [one.get("text") for one in viewer.until("end")[:-1]]
    assert told == ["the disk is on fire", "the roof, too"]


def test_quiet_stream_beats(monkeypatch: Any) -> None:
    monkeypatch.setattr(live, "_BEAT_SECONDS", 0.01)
    viewer = Viewer(observers_with(1))
    viewer.until("rows")

    beat = viewer.next()

    assert (beat["t"], beat["next"]) == ("beat", 1)
    assert beat["now"] > 1_700_000_000_000_000


def test_waiting_stream_ends_when_the_page_ends_and_says_why() -> None:
    for end in ("closed", "ending"):
        observers = observers_with(1)
        viewer = Viewer(observers)
        viewer.until("rows")
        if end == "closed":
            timer = threading.Timer(0.05, observers.close)
        else:
            timer = threading.Timer(0.05, viewer.ending.set, ["an hour is over"])
        timer.start()

        last = viewer.until("end")[-1]

        timer.join()
        assert last["why"] == (
            "the page is no longer served" if end == "closed" else "an hour is over"
        )
        assert list(viewer.lines) == []
