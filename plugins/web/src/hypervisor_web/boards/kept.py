"""Answers that were given before: several viewers get the same one."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from hypervisor_observability.report.session import SessionStory
from hypervisor_observability.serving.pages import Page
from hypervisor_observability.stores import Entry
from hypervisor_web.boards.sessions import story_told

MOST_SESSION_EVENTS = 20_000
"""Of how many events of a session its story is told: the newest."""
_MOST_KEPT = 16
_REST = 4
"""A story is told again after so many times as long as it took."""

SessionEvents = Callable[[str, int], Iterable[Entry]]
"""Gives the newest events of a session, at most so many, in their order."""


@define(eq=False)
class KeptPages:
    """The last answers of the boards."""

    _pages: dict[tuple[Any, ...], tuple[int, Page]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def page(self, key: tuple[Any, ...], version: int, make: Callable[[], Page]) -> Page:
        """Give the answer to a question, made once for each version."""
        with self._lock:
            known = self._pages.get(key)
            if known is not None and known[0] == version:
                return known[1]
            page = make()
            self._pages.pop(key, None)
            self._pages[key] = (version, page)
            if len(self._pages) > _MOST_KEPT:
                del self._pages[next(iter(self._pages))]
            return page


@define(eq=False)
class KeptStories:
    """The sessions asked for last, told again only when there is news, and not always.

    A story is told from all events of its session, which may take a while.

    Attributes:
        events: Where a session's events come from.
    """

    events: SessionEvents
    _told: dict[str, tuple[int, str, dict[str, Any] | None]] = field(factory=dict, init=False)
    _not_before: dict[str, float] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def story(self, session: str, wanted: int) -> tuple[str, dict[str, Any] | None]:
        """Give the version of a session's story, and the story; None: there are no events.

        Args:
            session: Its id.
            wanted: Another number than the last time, if there is news.
        """
        with self._lock:
            known, begun = self._told.get(session), time.monotonic()
            if known is not None and (known[0] == wanted or begun < self._not_before[session]):
                return known[1:]
            told = self._tell(session)
            version = "0" if told is None else f"{told['events']}-{told['seen']}"
            self._told.pop(session, None)
            self._told[session] = (wanted, version, told)
            self._not_before[session] = time.monotonic() + (time.monotonic() - begun) * _REST
            if len(self._told) > _MOST_KEPT:
                oldest = next(iter(self._told))
                del self._told[oldest], self._not_before[oldest]
            return version, told

    def _tell(self, session: str) -> dict[str, Any] | None:
        story = SessionStory()
        for entry in self.events(session, MOST_SESSION_EVENTS):
            story.take(entry.event)
        if not story.events:
            return None
        whole = story.events < MOST_SESSION_EVENTS
        return {**story_told(session, story), "whole": whole}
