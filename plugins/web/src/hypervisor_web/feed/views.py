"""Views: what a filter leaves of the ring, shared by all who ask for the same."""

import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from attrs import define, field

from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.search.choice import Choice
from hypervisor_observability.search.filter_text import parse
from hypervisor_web.feed.ring import Ring

MOST_VIEWS = 32
"""So many are kept: those that were asked for last, and those that are streamed."""

_AGE = 1 << 32  # ordinals of one view; 2**20 views come before JavaScript's 2**53
_COMPACT = 4_096
_TURN_EVENTS = 2_048
_REST_SECONDS = 0.001


class View(Protocol):
    """Events in their order, each with an ordinal; ordinals rise by one.

    Attributes:
        begun: The least ordinal that this view can have given. Whoever has one below it has it
            of another view, which said the same and was forgotten.
    """

    begun: int

    def look(self) -> tuple[int, int]:
        """Look at what has come since the last call.

        Returns:
            The ordinal of the oldest event that is there, and the one that the next event gets.
        """

    def positions(self, first: int, last: int) -> Sequence[int]:
        """Give the positions of the events with ordinals from *first* to before *last*."""


@define(eq=False)
class Everything:
    """The ring itself: ordinals are positions."""

    ring: Ring
    begun: int = field(default=0, init=False)

    def look(self) -> tuple[int, int]:
        """Give the bounds of the ring."""
        oldest = self.ring.oldest  # first: it rises, and never beyond the next one
        return oldest, self.ring.next

    def positions(self, first: int, last: int) -> Sequence[int]:
        """Give the numbers themselves."""
        return range(first, last)


@define(eq=False)
class Filtered:
    """The events that a choice covers. Each is compared once.

    However many filters are asked for at once, one of them compares at a time, and some thousand
    events: what runs beside the page has one thread to share the interpreter with, not sixty.

    Attributes:
        ring: Where they are.
        choice: Which.
        begun: The first ordinal.
        turn: Held by the view that compares.
    """

    ring: Ring
    choice: Choice
    begun: int
    turn: threading.Lock = field(factory=threading.Lock)
    _found: "array[int]" = field(factory=lambda: array("q"), init=False)
    _gone: int = field(default=0, init=False)  # matches that have left, before those in _found
    _left: int = field(default=0, init=False)  # matches at the beginning of _found that have left
    _seen: int = field(default=0, init=False)  # the position that is compared next
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def look(self) -> tuple[int, int]:
        """Compare what has come, and leave behind what has gone."""
        with self._lock:
            if self._seen != self.ring.next:
                self._compare()
            base = self.begun + self._gone
            return base + self._left, base + len(self._found)

    def positions(self, first: int, last: int) -> Sequence[int]:
        """Give the positions of matches."""
        with self._lock:
            base = self.begun + self._gone
            return self._found[max(0, first - base) : max(0, last - base)]

    def _compare(self) -> None:
        covers, found, last = self.choice.covers, self._found, self.ring.next
        while self._seen < last:
            begun = max(self._seen, self.ring.oldest)
            until = min(last, begun + _TURN_EVENTS)
            with self.turn:
                for position, entry in self.ring.read(begun, until):
                    if covers(entry.event):
                        found.append(position)
            self._seen = until
            if until < last:
                time.sleep(_REST_SECONDS)  # else the next turn would be this view's again
        self._left = bisect_left(found, self.ring.oldest, self._left)
        if self._left > _COMPACT and self._left > len(found) // 2:
            del found[: self._left]
            self._gone += self._left
            self._left = 0


@define(eq=False)
class _Kept:
    """A view that is kept.

    Attributes:
        view: The view.
        is_of_now: Whether a later one of the same text may hold other events: its times count from
            now, or names are missing.
        streams: How many streams of it there are.
    """

    view: View
    is_of_now: bool
    streams: int = 0


@define(eq=False)
class Views:
    """The views of a ring, by the text of their filter.

    Attributes:
        ring: What they are of.
        names: The agents' names, as far as they are known.
        learn_names: Learns those from before what the ring has; tells whether all are known.
    """

    ring: Ring
    names: AgentNames
    learn_names: Callable[[], bool] = field(default=lambda: True, init=False)
    _kept: OrderedDict[str, _Kept] = field(factory=OrderedDict, init=False)
    _made: int = field(default=0, init=False)
    _turn: threading.Lock = field(factory=threading.Lock, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @property
    def streams(self) -> int:
        """How many streams there are at present."""
        with self._lock:
            return sum(one.streams for one in self._kept.values())

    def get(self, text: str) -> View:
        """Give the view of a filter.

        Raises:
            FilterError: *text* is none; what it says is for people.
        """
        with self._kept_view(text) as kept:
            return kept.view

    @contextmanager
    def streamed(self, text: str) -> Iterator[View]:
        """Give the view of a filter, which is kept as long as it is streamed.

        "5 minutes ago" counts from the first of the streams that there are at one time.

        Raises:
            FilterError: *text* is none; what it says is for people.
        """
        with self._kept_view(text, anew=True) as kept:
            kept.streams += 1
        try:
            yield kept.view
        finally:
            with self._lock:
                kept.streams -= 1

    def choice(self, text: str) -> Choice:
        """Give what a filter says, with the names that are known here.

        Raises:
            FilterError: *text* is none; what it says is for people.
        """
        return self._choice(text)[0]

    def _choice(self, text: str) -> tuple[Choice, bool]:
        """Give what a filter says, and whether all names are known that it needs."""
        choice = parse(text, self.names)
        return choice, not choice.needs_names or self.learn_names()

    @contextmanager
    def _kept_view(self, text: str, *, anew: bool = False) -> Iterator[_Kept]:
        """Give the view of a filter, and hold the lock; *anew*: where it is of now, and idle."""
        text = text.strip()
        with self._lock:
            kept = self._kept.get(text)
            if anew and kept is not None and kept.is_of_now and not kept.streams:
                kept = None
            if kept is not None:
                self._kept.move_to_end(text)
                yield kept
                return
        choice, is_whole = self._choice(text)  # without the lock: it may take a while
        with self._lock:
            kept = self._kept.get(text)
            if kept is None or (anew and kept.is_of_now and not kept.streams):
                wanted = choice.wanted
                has_moment = wanted.since_ns is not None or wanted.until_ns is not None
                kept = self._kept[text] = _Kept(self._view(choice), has_moment or not is_whole)
                self._let_go(kept)
            self._kept.move_to_end(text)
            yield kept

    def _let_go(self, kept: _Kept) -> None:
        idle = [key for key, one in self._kept.items() if not one.streams and one is not kept]
        for key in idle[: max(0, len(self._kept) - MOST_VIEWS)]:
            del self._kept[key]

    def _view(self, choice: Choice) -> View:
        if choice.is_everything:
            return Everything(self.ring)
        self._made += 1
        return Filtered(self.ring, choice, self._made * _AGE, self._turn)
