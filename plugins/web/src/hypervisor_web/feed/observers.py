"""All who see each event that comes: the ring, and the boards."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from attrs import define, field

from hypervisor_observability.search.agent_names import AgentNames
from hypervisor_observability.stores import Entry
from hypervisor_observability.text.error_text import line_of
from hypervisor_observability.text.limited_log import LimitedLog
from hypervisor_web.feed.ring import Ring
from hypervisor_web.feed.rows import Rows
from hypervisor_web.feed.views import Views

_MOST_NOTICES = 50
_MOST_CHARACTERS = 1_000


class Board(Protocol):
    """Something that is kept up to date by looking at each event once."""

    def take(self, entry: Entry, position: int) -> None:
        """Look at an event, in bounded time and memory; called under the lock of the observers.

        Args:
            entry: The event with its place.
            position: Its position in the ring.
        """


@define(eq=False)
class Observers:
    """The newest events, and what was made of all of them.

    Attributes:
        ring: The newest.
        boards: Who looks at each of them.
        id: Random: positions and ordinals of another one say nothing about this one.
        lock: Held while events are taken. Whoever reads a board holds it too.
        names: The agents' names, as far as they are known.
        rows: What lists show of each event.
        views: What filters leave of the ring.
        notices: What viewers should know, the newest of it: the moment in microseconds, the text.
        told: How many notices there were.
        closed: Whether no more will come.
    """

    ring: Ring
    boards: Sequence[Board] = ()
    id: str = field(factory=lambda: secrets.token_hex(8), init=False)
    lock: threading.RLock = field(factory=threading.RLock, init=False)
    names: AgentNames = field(factory=AgentNames, init=False)
    rows: Rows = field(init=False)
    views: Views = field(init=False)
    notices: deque[tuple[int, str]] = field(factory=lambda: deque(maxlen=_MOST_NOTICES), init=False)
    told: int = field(default=0, init=False)
    closed: bool = field(default=False, init=False)
    _news: threading.Condition = field(factory=threading.Condition, init=False)
    _log: LimitedLog = field(factory=lambda: LimitedLog(__name__), init=False)

    def __attrs_post_init__(self) -> None:
        self.rows = Rows(self.ring, self.names)
        self.views = Views(self.ring, self.names)

    def take(self, entries: Iterable[Entry]) -> None:
        """Look at events that have come, in their order."""
        with self.lock:
            for entry in entries:
                self.names.meet(entry.event)
                position = self.ring.append(entry)
                for board in self.boards:
                    try:
                        board.take(entry, position)
                    except Exception as error:  # noqa: BLE001 - one event costs no other, nor another board
                        self._tell_of(board, position, error)
        self.wake()

    def _tell_of(self, board: Board, position: int, error: Exception) -> None:
        name = type(board).__name__
        self._log.warning(name, "%s cannot read event %d", name, position, error=error)
        self.notice(f"{name} cannot read an event, and leaves it out: {line_of(error)}")

    def notice(self, text: str, *, again: bool = False) -> None:
        """Tell viewers of something, unless it is among what they were told last.

        Args:
            text: What.
            again: Tell it even so: it has happened once more.
        """
        text = text[:_MOST_CHARACTERS]
        with self._news:
            if not again and any(text == told for _, told in self.notices):
                return  # whoever reads a damaged journal again tells of the same places
            self.notices.append((time.time_ns() // 1_000, text))
            self.told += 1
            self._news.notify_all()

    def notices_since(self, told: int) -> tuple[int, list[str]]:
        """Give how many notices there were, and the texts of those after the first *told*."""
        with self._news:
            new = min(self.told - told, len(self.notices))
            return self.told, [text for _, text in list(self.notices)[len(self.notices) - new :]]

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until *condition* holds, which may have changed with any event, notice or ``wake``,
        or all is closed.

        Args:
            condition: Is asked under a lock, and asks for none.
            timeout: Longest time, in seconds.
        """
        with self._news:
            self._news.wait_for(lambda: self.closed or condition(), timeout)

    def open(self) -> None:
        """Have what comes from now on wait for events again."""
        self.closed = False

    def close(self) -> None:
        """End what waits."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Have all who wait look whether what they wait for has come."""
        with self._news:
            self._news.notify_all()
