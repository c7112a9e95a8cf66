"""What a history records, handed to the observers as it comes."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from attrs import define, field

from hypervisor_observability import output
from hypervisor_observability.stores import Entry, History, recent
from hypervisor_web.feed.observers import Observers

_POLL_SECONDS = 0.02
_SHARE = 0.1  # of the time may be spent on looking in vain, where that takes long
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_TAKEN_AT_ONCE = 500
_MOST_RUNS = 100_000

OpenHistory = Callable[[Callable[[str], object]], AbstractContextManager[History]]
"""Opens a history, for the thread that calls it; what it is given is told what cannot be read."""


@define(eq=False)
class Following:
    """A thread that follows a history: it begins with the newest events.

    Whatever happens to what it reads, it tells the viewers, and goes on.

    Attributes:
        open_history: Opens it.
        observers: Who gets the events.
    """

    open_history: OpenHistory
    observers: Observers
    _ending: threading.Event = field(factory=threading.Event, init=False)
    _begun: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _trouble: str = field(default="", init=False)
    # Of each run, the sequence number that was seen last.
    _seen: dict[str, int] = field(factory=dict, init=False)

    @property
    def is_reading_past(self) -> bool:
        """Whether what was recorded before is still being read."""
        return not self._begun.is_set()

    def start(self) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._run, name="hvobs-web-follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self.open_history(self.observers.notice) as history:
                    self._follow(history)
            except Exception as error:  # noqa: BLE001 - the page shows it, and goes on with what it has
                self._tell(
                    f"the history cannot be read, and is tried again: {output.reason(error)}"
                )
                self._ending.wait(_RETRY_SECONDS)

    def _follow(self, history: History) -> None:
        follower = history.follow()
        # Opened again, it may tell once more of what was seen, and of what was missed.
        self._take(recent(follower, self.observers.ring.max_events))
        self._begun.set()
        looked, had_runs = 0.0, bool(self._seen)  # it may be removed before the first look
        while not self._ending.is_set():
            begun, following = time.monotonic(), self.observers.ring.next
            self._take(follower.news())
            if begun - looked >= _LOOK_SECONDS:
                looked, had_runs = begun, self._look(history, had_runs=had_runs)
            in_vain = self.observers.ring.next == following
            took = time.monotonic() - begun if in_vain else 0.0
            self._ending.wait(max(_POLL_SECONDS, took / _SHARE))

    def _take(self, entries: Iterable[Entry]) -> None:
        for part in _parts(self._unseen(entries)):
            self.observers.take(part)
            if self._ending.is_set():
                return

    def _unseen(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        seen = self._seen
        for entry in entries:
            if entry.sequence > seen.get(entry.run, -1):
                if entry.run not in seen and len(seen) >= _MOST_RUNS:
                    del seen[next(iter(seen))]
                seen[entry.run] = entry.sequence
                yield entry

    def _look(self, history: History, *, had_runs: bool) -> bool:
        """Tell where all that was recorded has gone; give whether there is anything."""
        has_runs = bool(history.runs())
        if had_runs and not has_runs:
            self._tell(
                f"what was recorded in {history.place} has been removed: what was read is still"
                " shown, and what is recorded there from now on"
            )
        elif has_runs:
            self._trouble = ""
        return has_runs

    def _tell(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self.observers.notice(text, again=True)


def _parts(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    waiting = iter(entries)
    while part := list(islice(waiting, _TAKEN_AT_ONCE)):
        yield part
