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
from hypervisor_web.feed.questions import number, view_of
from hypervisor_web.feed.rows import joined

_JSON = "application/json; charset=utf-8"

_SEARCH_SECONDS = 2.0

OpenHistory = Callable[[], AbstractContextManager[History]]


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
        """Give rows of events that were recorded before a moment.

        The search ends after some seconds; ``until`` of the answer is the moment to go on with.
        """
        choice = self._choice(request.query)
        until = number(request.query, "until")
        if until is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "until: expected a moment, in microseconds")
        history = self.surroundings.history
        assert history is not None  # noqa: S101 - tells mypy: else there is no such page
        most_ns = until * 1_000 - 1
        if choice.wanted.until_ns is not None:
            most_ns = min(most_ns, choice.wanted.until_ns)
        choice.wanted = evolve(choice.wanted, until_ns=most_ns)
        with history() as past:
            found, until = _search(choice, past, _count(request.query))
        rows = joined(self.observers.rows.row(None, entry) for entry in reversed(found))
        more = "false" if until is None else "true"
        ending = f',"more":{more},"until":{"null" if until is None else until}}}'
        return Page(_JSON, b'{"rows":' + rows + ending.encode())

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


def _search(choice: Choice, history: History, count: int) -> tuple[list[Entry], int | None]:
    """Look for the newest *count* of the events that are chosen, for some seconds.

    Returns:
        Those that were found, the newest first, and the time of the oldest that was looked at, in
        microseconds; None if there is nothing more.
    """
    found: list[Entry] = []
    deadline = time.monotonic() + _SEARCH_SECONDS
    reached: int | None = None
    for entry, is_chosen in choice.backwards(history):
        if reached is not None and (len(found) == count or time.monotonic() > deadline):
            return found, reached
        reached = entry.event.timestamp_ns // 1_000
        if is_chosen:
            found.append(entry)
    return found, None


def _count(query: Mapping[str, str]) -> int:
    """Give how many rows are asked for."""
    count = number(query, "count", MOST_ROWS)
    return MOST_ROWS if count is None else count
