"""Answers that were given before: several viewers get the same one."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from attrs import define, field

from hypervisor_observability.report.session import SessionStory
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.serving.pages import Page
from hypervisor_observability.stores import Entry
from hypervisor_web.boards.sessions import story_told
from hypervisor_web.waiting import turn

MOST_SESSION_EVENTS = 20_000
"""Of how many events of a session its story is told: the newest."""
_MOST_KEPT = 16


class SessionEvents(Protocol):
    """Where the events of sessions come from."""

    def past(self, session: str, most: int) -> Iterable[Entry]:
        """Give the newest events of a session, at most so many, in their order."""

    def news(self, session: str, place: int | None) -> tuple[int, Iterable[Entry]] | None:
        """Give what has come since the last call, and the place to go on from at the next.

        Args:
            session: The session.
            place: Where to go on; None: with what comes from now on.

        Returns:
            None where some of it is not kept any more.
        """


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
class KeptValue:
    """A value that is asked for by many, and made anew after a while.

    Attributes:
        make: Makes it.
        seconds: For how long it stays.
    """

    make: Callable[[], Any]
    seconds: float
    _made: tuple[float, Any] | None = field(default=None, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def get(self) -> Any:
        """Give it."""
        with self._lock:
            if self._made is None or time.monotonic() - self._made[0] > self.seconds:
                value = self.make()
                self._made = (time.monotonic(), value)
            return self._made[1]


@define(eq=False)
class _Followed:
    """A session's story, while its events come.

    Attributes:
        story: As far as it is told.
        whole: Whether it is told from the session's first event.
        place: Where its news go on.
        wanted: The number with which it was asked for last.
    """

    story: SessionStory
    whole: bool
    place: int
    wanted: int
    told: dict[str, Any] | None = None
    # The last event of each run: those of a run come in their order.
    _taken: dict[str, int] = field(factory=dict, init=False)

    def take(self, entries: Iterable[Entry]) -> None:
        """Take events that come, each once."""
        for entry in entries:
            if entry.sequence > self._taken.get(entry.run, -1):
                self._taken[entry.run] = entry.sequence
                self.story.take(entry.event)
                self.told = None


@define(eq=False)
class KeptStories:
    """The sessions asked for last: a story goes on with what comes.

    Attributes:
        events: Where a session's events come from.
    """

    events: SessionEvents
    _followed: dict[str, _Followed] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def story(self, session: str, wanted: int, ending: Ending) -> dict[str, Any] | None:
        """Give a session's story in plain data; None: there are no events.

        Args:
            session: Its id.
            wanted: Another number than the last time, if there may be news.
            ending: Set when nobody waits for the answer any longer.

        Raises:
            Refused: Nobody waits for the answer any longer.
        """
        with turn(self._lock, ending):
            followed = self._followed.pop(session, None)
            if followed is not None and followed.wanted != wanted:
                followed = self._gone_on(session, followed)
            if followed is None:
                followed = self._begun(session, wanted)
            if followed is None:
                return None
            followed.wanted = wanted
            self._followed[session] = followed
            if len(self._followed) > _MOST_KEPT:
                del self._followed[next(iter(self._followed))]
            if followed.told is None:
                told = story_told(session, followed.story)
                followed.told = {**told, "whole": followed.whole}
            return followed.told

    def _gone_on(self, session: str, followed: _Followed) -> _Followed | None:
        found = self.events.news(session, followed.place)
        if found is None:
            return None
        followed.place, entries = found
        followed.take(entries)
        return followed

    def _begun(self, session: str, wanted: int) -> _Followed | None:
        # First: what comes while the past is read is read twice, and taken once.
        found = self.events.news(session, None)
        place = 0 if found is None else found[0]
        followed = _Followed(SessionStory(), whole=True, place=place, wanted=wanted)
        followed.take(self.events.past(session, MOST_SESSION_EVENTS))
        followed.whole = followed.story.events < MOST_SESSION_EVENTS
        return followed if followed.story.events else None
