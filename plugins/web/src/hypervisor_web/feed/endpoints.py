"""What the page asks of the newest events, and of those before them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus

from attrs import define, evolve, frozen

from hypervisor_observability.errors import FilterError
from hypervisor_observability.search.choice import Choice
from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_observability.stores import Entry, History
from hypervisor_web.answers import json_page
from hypervisor_web.event_json import event_dict
from hypervisor_web.feed.live import MOST_ROWS, Stream
from hypervisor_web.feed.observers import Observers
from hypervisor_web.feed.questions import MOST, number, view_of
from hypervisor_web.feed.rows import joined

_JSON = "application/json; charset=utf-8"

_SEARCH_SECONDS = 2.0

OpenHistory = Callable[[], AbstractContextManager[History]]


@frozen
class _Place:
    """Where a search for older events goes on: many may be of one microsecond.

    Attributes:
        until: The latest moment that is looked at, in microseconds since the epoch.
        given: How many of the chosen events of that microsecond were given, the newest.
    """

    until: int
    given: int

    def past(self, entry: Entry, *, is_given: bool) -> "_Place":
        """Go on behind an entry."""
        now = entry.event.timestamp_ns // 1_000
        before = self.given if now == self.until else 0
        return _Place(now, before + is_given)

    def __str__(self) -> str:
        return f"{self.until}.{self.given}"


@frozen(kw_only=True)
class Surroundings:
    """What the page says of itself.

    Attributes:
        title: What its window is called.
        place: Where the events come from, for people.
        service: What the application is called; empty: not known.
        version: Of this distribution.
        history: Opens what was recorded before; None: there is nothing but the ring.
        is_reading: Tells whether what was recorded before is still being read.
    """

    title: str
    place: str
    service: str = ""
    version: str = ""
    history: OpenHistory | None = None
    is_reading: Callable[[], bool] = lambda: False


@define(eq=False)
class Feed:
    """The answers.

    Attributes:
        observers: The newest events.
        surroundings: What the page says of itself.
    """

    observers: Observers
    surroundings: Surroundings

    def pages(self) -> dict[str, Callable[[Request], Page]]:
        """Give them by their paths."""
        found = {
            "/api/about": self.about,
            "/api/rows": self.rows,
            "/api/event": self.event,
        }
        return found if self.surroundings.history is None else {**found, "/api/past": self.past}

    def streams(self) -> dict[str, Callable[[Request], Iterator[bytes]]]:
        """Give the streams by their paths."""
        return {"/api/live": self.live}

    def about(self, _: Request) -> Page:
        """Say what is shown."""
        around, observers = self.surroundings, self.observers
        return json_page(
            {
                "title": around.title,
                "place": around.place,
                "mode": "process" if around.history is None else "history",
                "service": around.service,
                "version": around.version,
                "capacity": observers.ring.max_events,
                "now": time.time_ns() // 1_000,
                "notices": [text for _, text in list(observers.notices)],
                "ring": observers.id,
                "reading": around.is_reading(),
            }
        )

    def rows(self, request: Request) -> Page:
        """Give rows of a view, from an ordinal on."""
        view = view_of(self.observers, request.query)
        oldest, following = view.look()
        count = _count(request.query)
        first = max(oldest, number(request.query, "first") or 0)
        stop = max(first, min(following, first + count))
        rows = self.observers.rows.at(view.positions(first, stop))
        head = f'{{"oldest":{oldest},"next":{following},"first":{stop - len(rows)},"rows":'
        return Page(_JSON, head.encode() + joined(rows) + b"}")

    def event(self, request: Request) -> Page:
        """Give one event whole."""
        position = number(request.query, "position")
        if position is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "position: expected the position of an event")
        entry = self.observers.ring.get(position)
        if entry is None:
            ring = self.observers.ring
            kept = f"the newest {ring.next - ring.oldest:,} events are kept"
            raise Refused(HTTPStatus.NOT_FOUND, f"this event is not here any more: {kept}")
        return json_page(event_dict(position, entry))

    def past(self, request: Request) -> Page:
        """Give rows of events that were recorded before a moment; or before the one at a position,
        which is of that moment.

        The search ends after some seconds; ``until`` of the answer is what to go on with.
        """
        choice, query = self._choice(request.query), request.query
        place = self._place(choice, query)
        history = self.surroundings.history
        assert history is not None  # noqa: S101 - tells mypy: else there is no such page
        most_ns = place.until * 1_000 + 999
        if choice.wanted.until_ns is not None:
            most_ns = min(most_ns, choice.wanted.until_ns)
        choice.wanted = evolve(choice.wanted, until_ns=most_ns)
        with history() as past:
            found, after = _search(choice, past, _count(query), place)
        rows = joined(self.observers.rows.row(None, entry) for entry in reversed(found))
        more, until = ("false", "null") if after is None else ("true", f'"{after}"')
        return Page(_JSON, b'{"rows":' + rows + f',"more":{more},"until":{until}}}'.encode())

    def _place(self, choice: Choice, query: Mapping[str, str]) -> _Place:
        """Say where a search goes on: where the last one ended, or before a row of the ring."""
        text, dot, given = query.get("until", "").partition(".")
        until = number({"until": text}, "until")
        if until is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "until: expected a moment, in microseconds")
        if dot:
            return _Place(until, number({"until": given}, "until") or 0)
        position = number(query, "position")
        if position is None:
            return _Place(until - 1, 0)
        found = _Place(until, 0)
        # Of that microsecond, the ring has some: the newest.
        for _, entry in self.observers.ring.read(position, MOST):
            if entry.event.timestamp_ns // 1_000 != found.until:
                break
            found = found.past(entry, is_given=choice.covers(entry.event))
        return found

    def live(self, request: Request) -> Iterator[bytes]:
        """Stream what comes."""
        place = number(request.query, "from")
        if request.query.get("ring", self.observers.id) != self.observers.id:
            place = None
        # A filter that cannot be read is refused before the first bytes.
        view_of(self.observers, request.query)
        return self._stream(request, place)

    def _stream(self, request: Request, place: int | None) -> Iterator[bytes]:
        with self.observers.views.streamed(request.query.get("filter", "")) as view:
            yield from Stream(self.observers, view, request.ending).lines(place)

    def _choice(self, query: Mapping[str, str]) -> Choice:
        try:
            return self.observers.views.choice(query.get("filter", ""))
        except FilterError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error


def _search(
    choice: Choice, history: History, count: int, place: _Place
) -> tuple[list[Entry], _Place | None]:
    """Look for the newest *count* of the events that are chosen, for some seconds.

    Args:
        choice: Which.
        history: Where.
        count: Most that are given.
        place: Where to begin.

    Returns:
        Those that were found, the newest first, and where to go on; None if there is nothing more.
    """
    found: list[Entry] = []
    deadline = time.monotonic() + _SEARCH_SECONDS
    left, looked = place.given, False
    for entry, is_chosen in choice.backwards(history):
        is_of_now = entry.event.timestamp_ns // 1_000 == place.until
        if left and is_of_now and is_chosen:
            left -= 1
            continue
        if looked and len(found) >= max(1, count):
            return found, place
        if looked and not is_of_now and time.monotonic() > deadline:
            return found, _Place(place.until - 1, 0)  # all of that microsecond was looked at
        looked, place = True, place.past(entry, is_given=is_chosen)
        if is_chosen:
            found.append(entry)
    return found, None


def _count(query: Mapping[str, str]) -> int:
    """Give how many rows are asked for."""
    count = number(query, "count", MOST_ROWS)
    return MOST_ROWS if count is None else count
