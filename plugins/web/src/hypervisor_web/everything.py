"""All that the page is made of, put together: the same in a process and over a history."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import chain, count

import click
from attrs import define, evolve, field

from hypervisor_observability import output
from hypervisor_observability.config import Secret
from hypervisor_observability.errors import NoHistoryError
from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.serving.pages import Page, Refused, Request
from hypervisor_observability.serving.site import Site
from hypervisor_observability.stores import Entry, History, Wanted
from hypervisor_web.boards.endpoints import Answers, Boards
from hypervisor_web.boards.health import Health
from hypervisor_web.config import WebConfig
from hypervisor_web.feed.endpoints import Feed, OpenHistory, Surroundings
from hypervisor_web.feed.moments import Moments
from hypervisor_web.feed.observers import Board, Observers
from hypervisor_web.feed.older_names import OlderNames
from hypervisor_web.feed.ring import Ring
from hypervisor_web.feed.seeking import Seeking
from hypervisor_web.session_events import RecordedSessions
from hypervisor_web.site import make_site, token_for
from hypervisor_web.traces.endpoints import endpoints as trace_endpoints
from hypervisor_web.traces.looking import Past
from hypervisor_web.traces.traces import Traces

_READ_AT_ONCE = 2_048  # events of the ring, where it is read backwards


@define(eq=False)
class Model:
    """What is known of the events.

    Attributes:
        config: How much is kept.
        prices: To estimate costs that were not told; None: they are not estimated.
        boards: What is made of each event.
        observers: The newest events; ``take`` is given all that come.
        moments: When they came, and which went wrong.
        overview: What they say of agents, sagas, traces and sessions.
        token: What viewers have to show.
        traces: The traces that are looked at.
        numbers: Of the events of this process, in their order. A fresh instance of the plugin
            continues them: the newest events and the boards take each number once.
    """

    config: WebConfig
    prices: Prices | None = None
    boards: list[Board] = field(factory=list, init=False)
    observers: Observers = field(init=False)
    moments: Moments = field(init=False)
    overview: Boards = field(init=False)
    token: Secret = field(init=False)
    traces: Traces = field(init=False)
    numbers: Iterator[int] = field(factory=count, init=False)

    def __attrs_post_init__(self) -> None:
        self.token = token_for(self.config)
        ring = Ring(self.config.max_events, self.config.max_bytes)
        self.moments = Moments(ring)
        self.overview, self.traces = Boards(self.prices), Traces(self.prices)
        self.boards += [self.moments, self.traces, self.overview]
        self.observers = Observers(ring, self.boards)

    def endpoints(
        self, surroundings: Surroundings, health: Callable[[], Health]
    ) -> dict[str, Callable[[Request], Page]]:
        """Give what the page may ask, by its paths."""
        if surroundings.history is not None:
            surroundings = evolve(surroundings, history=_for_viewers(surroundings.history))
        history = surroundings.history
        if history is not None:
            observers = self.observers
            older = OlderNames(observers.names, history, observers.notice)
            observers.views.learn_names = older.learn
        past = _of_ring(self.observers.ring) if history is None else _of_history(history)
        overview = Answers(
            boards=self.overview,
            lock=self.observers.lock,
            session_events=RecordedSessions(self.observers, history),
            health=health,
            page=self._page,
        )
        return {
            **Feed(self.observers, surroundings).pages(),
            **Seeking(self.observers, self.moments).pages(),
            **trace_endpoints(self.traces, past),
            **overview.endpoints(),
        }

    def _page(self) -> dict[str, int]:
        ring = self.observers.ring
        return {
            "events_kept": ring.next - ring.oldest,
            "most_events": ring.max_events,
            "bytes_held": ring.held_bytes,
            "most_bytes": ring.max_bytes,
            "events_seen": ring.next,
            "live_streams": self.observers.views.streams,
        }

    def streams(
        self, surroundings: Surroundings
    ) -> dict[str, Callable[[Request], Iterator[bytes]]]:
        """Give the streams that it may listen to, by their paths."""
        return Feed(self.observers, surroundings).streams()


def whole_site(
    model: Model,
    surroundings: Surroundings,
    logger: logging.Logger,
    health: Callable[[], Health] = Health,
) -> Site:
    """Give all that is served.

    Args:
        model: What is known of the events.
        surroundings: What the page says of itself.
        logger: Told of answers that cannot be made.
        health: Tells how the events are delivered.
    """
    return make_site(
        model.config,
        model.token,
        logger,
        model.endpoints(surroundings, health),
        model.streams(surroundings),
    )


def _of_ring(ring: Ring) -> Past:
    """Give what the ring still has as the past."""

    def past(wanted: Wanted, limit: int | None) -> Iterator[Entry]:
        oldest, following = ring.oldest, ring.next
        read: Iterable[tuple[int, Entry]] = ring.read(oldest, following)
        if limit is None:
            parts = (
                list(ring.read(max(oldest, last - _READ_AT_ONCE), last))
                for last in range(following, oldest, -_READ_AT_ONCE)
            )
            read = chain.from_iterable(map(reversed, parts))
        found = (entry for _, entry in read if wanted.covers(entry.event))
        return found if limit is None else iter(deque(found, limit))

    return past


def _of_history(open_history: OpenHistory) -> Past:
    """Give a history as the past, opened for each reading."""

    def past(wanted: Wanted, limit: int | None) -> Iterator[Entry]:
        with open_history() as history:
            yield from history.events(wanted, limit=limit, newest_first=limit is None)

    return past


def _for_viewers(open_history: OpenHistory) -> OpenHistory:
    """Answer with the reason when a history cannot be read: it may have been removed."""

    @contextmanager
    def opened() -> Iterator[History]:
        try:
            with open_history() as history:
                yield history
        except (OSError, NoHistoryError, click.ClickException) as error:
            text = f"the history cannot be read: {output.reason(error)}"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, text) from error

    return opened
