"""What the page asks of the boards; what has not changed since is not sent again."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

from attrs import define, field

from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_observability.stores import Entry
from hypervisor_web.answers import json_bytes, json_page, unchanged
from hypervisor_web.boards.agents import AgentsBoard
from hypervisor_web.boards.health import Health
from hypervisor_web.boards.kept import KeptPages, KeptStories, KeptValue, SessionEvents
from hypervisor_web.boards.plain import microseconds
from hypervisor_web.boards.sagas import SagasBoard
from hypervisor_web.boards.sessions import SessionsBoard
from hypervisor_web.boards.traces import MOST_ROWS, STATES, TracesBoard

_DEFAULT_ROWS = 200


@define(eq=False)
class Boards:
    """What is made of each event, beside the ring.

    Attributes:
        prices: To estimate costs that were not told; None: they are not estimated.
        agents: One row an agent.
        sagas: In lanes.
        traces: With how they stand.
        sessions: One row a session.
        begun_ns: The time of the first event, in nanoseconds since the epoch; None: there was none.
    """

    prices: Prices | None = None
    agents: AgentsBoard = field(init=False)
    sagas: SagasBoard = field(factory=SagasBoard)
    traces: TracesBoard = field(init=False)
    sessions: SessionsBoard = field(factory=SessionsBoard)
    begun_ns: int | None = None

    def __attrs_post_init__(self) -> None:
        self.agents, self.traces = AgentsBoard(self.prices), TracesBoard(self.prices)

    def take(self, entry: Entry, position: int) -> None:
        """Look at an event."""
        if self.begun_ns is None:
            self.begun_ns = entry.event.timestamp_ns
        for board in (self.agents, self.sagas, self.traces, self.sessions):
            board.take(entry, position)


@define(eq=False, kw_only=True)
class Answers:
    """The answers.

    Attributes:
        boards: What is known.
        lock: Held while the boards look at events.
        session_events: Where a session's events come from.
        health: Tells how the events are delivered.
        page: Tells of the page itself: its bounds, how full it is, who looks on.
        health_seconds: For how long what they told is given to all who ask.
    """

    boards: Boards
    lock: AbstractContextManager[Any]
    session_events: SessionEvents
    health: Callable[[], Health]
    page: Callable[[], Mapping[str, Any]] = field(default=dict)
    health_seconds: float = 0.5
    # Versions of another one, which the page may still know after a restart, are not of this one.
    _id: str = field(factory=lambda: secrets.token_hex(4), init=False)
    _kept: KeptPages = field(factory=KeptPages, init=False)
    _stories: KeptStories = field(init=False)
    _health: KeptValue = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._stories = KeptStories(self.session_events)
        self._health = KeptValue(self._tell_health, self.health_seconds)

    def endpoints(self) -> dict[str, Callable[[Request], Page]]:
        """Give them by their paths."""
        return {
            "/api/agents": self.agents,
            "/api/sagas": self.sagas,
            "/api/traces": self.traces,
            "/api/session": self.session,
            "/api/health": self.of_health,
        }

    def agents(self, request: Request) -> Page:
        """Tell of the agents."""
        board = self.boards.agents
        return self._answer(request, "agents", board.version, board.told)

    def sagas(self, request: Request) -> Page:
        """Tell of the sagas."""
        board, words = self.boards.sagas, _words(request)
        return self._answer(request, "sagas", board.version, lambda: board.told(words))

    def traces(self, request: Request) -> Page:
        """Tell of the newest traces."""
        board, words = self.boards.traces, _words(request)
        state = request.query.get("state", STATES[0])
        if state not in STATES:
            raise Refused(HTTPStatus.BAD_REQUEST, f"state: expected {' or '.join(STATES)}")
        count = _count(request)
        return self._answer(
            request, "traces", board.version, lambda: board.told(state, words, count)
        )

    def session(self, request: Request) -> Page:
        """Tell of one session; without an id, which there are."""
        board, session = self.boards.sessions, request.query.get("id", "")
        if not session:
            return self._answer(request, "sessions", board.version, board.told)
        with self.lock:
            wanted = board.version_of(session)
        told = self._stories.story(session, wanted, request.ending)
        if told is None:
            raise Refused(
                HTTPStatus.NOT_FOUND,
                "nothing was recorded of this session: its id may be another one, or its events"
                " are not kept any more",
            )
        return self._whole(request, f"{told['events']}-{told['seen']}", told)

    def of_health(self, request: Request) -> Page:
        """Tell how the events are delivered."""
        told = self._health.get()
        digest = hashlib.blake2b(json_bytes(told), digest_size=8).hexdigest()
        return self._whole(request, digest, told)

    def _tell_health(self) -> dict[str, Any]:
        health = self.health()
        return {
            "processes": health.processes,
            "problems": health.problems,
            "notices": health.notices,
            "history": health.history,
            "page": dict(self.page()),
        }

    def _answer(
        self, request: Request, name: str, version: int, tell: Callable[[], dict[str, Any]]
    ) -> Page:
        """Answer with what a board tells, made once for all who ask for the same."""
        query = {key: value for key, value in request.query.items() if key != "known"}
        own = f"{self._id}.{version}"
        if request.query.get("known") == own:
            return unchanged()

        def make() -> Page:
            with self.lock:
                told, begun = tell(), self.boards.begun_ns
            since = microseconds(begun)
            return json_page({"version": own, "since": since, "now": _now(), **told})

        return self._kept.page((name, *sorted(query.items())), version, make)

    def _whole(self, request: Request, version: str, told: dict[str, Any]) -> Page:
        own = f"{self._id}.{version}"
        if request.query.get("known") == own:
            return unchanged()
        return json_page({"version": own, "now": _now(), **told})


def _words(request: Request) -> list[str]:
    return request.query.get("filter", "").casefold().split()


def _count(request: Request) -> int:
    text = request.query.get("count", "")
    if not text:
        return _DEFAULT_ROWS
    if not (text.isascii() and text.isdecimal()):
        raise Refused(HTTPStatus.BAD_REQUEST, f"count: expected a number from 0, got {text!r:.40}")
    return MOST_ROWS if len(text) > 9 else min(MOST_ROWS, int(text))


def _now() -> int:
    return time.time_ns() // 1_000
