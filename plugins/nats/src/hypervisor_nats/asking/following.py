"""The events that arrive in the stream from now on, each run as far as it is proven."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from attrs import define, field

from hypervisor_nats.asking.catalogue import ListedRun
from hypervisor_nats.asking.entries import bad_text, entry_of, missing_text, strange_text
from hypervisor_nats.asking.stream_messages import StreamAwayError, StreamMessages
from hypervisor_nats.messages import StrangeMessageError, head_of
from hypervisor_nats.requests import Stored
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_nats.stream_state import StreamState
from hypervisor_observability.stores import EVERYTHING, Entry, Wanted

_NEVER_NS = 1 << 63
_LOOK_SECONDS = 1.0
"""So often the stream is looked at where nothing comes: it may be another one now."""


class Past(Protocol):
    """What a history gives."""

    def __call__(
        self, runs: Sequence[ListedRun], wanted: Wanted, *, limit: int | None = None
    ) -> Iterator[Entry]:
        """Give the events that are *wanted* of *runs*."""


@define(eq=False)
class FleetFollower:
    """The messages behind the one that was the last when this was made.

    Attributes:
        messages: Of the stream.
        notice: Called with a text on what cannot be read, or is not what was written.
        past: Gives what was there before.
        runs: The runs that there were, as far as they had come.
        position: Number of the last message that was read.
        state: Of the stream, when it was looked at last.
    """

    messages: StreamMessages
    notice: Callable[[str], object]
    past: Past
    runs: Sequence[ListedRun]
    position: int
    state: StreamState | None
    _checked: dict[str, CheckedRun] = field(init=False)
    _looked: float = field(factory=time.monotonic, init=False)
    _trouble: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        """Continue where each run is."""
        self._checked = {
            one.name: CheckedRun(one.name, one.next, one.chain, one.ended, one.bad)
            for one in self.runs
        }

    def newest(self, wanted: Wanted, count: int) -> list[Entry]:
        """Give the newest *count* of what was there at the beginning and is *wanted*."""
        return list(self.past(self.runs, wanted, limit=count))

    def recent(self, count: int) -> Iterator[Entry]:
        """Give what was there at the beginning, by time, from a moment on: at least the newest
        *count* events, if there are so many. They are not held in memory.
        """
        begun = sorted(
            pair for run in self.runs for pair in zip(run.from_ns, run.counts, strict=True)
        )
        held, wanted = 0, Wanted(since_ns=_NEVER_NS)
        while begun and held < count:
            since_ns, events = begun.pop()
            held, wanted = held + events, Wanted(since_ns=since_ns)
        return self.past(self.runs, wanted if begun else EVERYTHING)

    def news(self) -> Iterator[Entry]:
        """Give what has come since the last call; what cannot be read is told once as long as it
        lasts, and comes with a later call.
        """
        while True:
            try:
                found = self.messages.behind(self.position)
                if not found and self._is_another_stream():
                    continue
            except StreamAwayError as error:
                self._tell_trouble(f"cannot be read at present: {error}")
                return
            self._trouble = ""
            if not found:
                return
            for message in found:
                self.position = message.sequence
                yield from self._entries_of(message)

    def _is_another_stream(self) -> bool:
        """Tell, now and then, whether the stream was made again: then it is read from its start."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        before, state = self.state, self.messages.state()
        self.state = state or before
        if state is None or state.goes_on_from(before, self.position):
            return False
        self._checked.clear()
        self.position = 0
        return state.last > 0

    def _entries_of(self, message: Stored) -> Iterator[Entry]:
        try:
            head = head_of(message.subject, message.headers)
        except StrangeMessageError as error:
            self.notice(strange_text(message, error))
            return
        run = self._checked.get(head.run)
        if run is None:
            run = self._checked[head.run] = CheckedRun(head.run)
        was_bad, number = run.bad is not None, run.next
        taken = run.take(head, message.data)
        if taken.missing:
            self.notice(missing_text(head.run, number, number + taken.missing))
        for record in taken.records:
            entry = entry_of(head.run, record, self.notice)
            if entry is not None:
                yield entry
        if taken.problem is not None and not was_bad:
            self.notice(bad_text(head.run, taken.problem))

    def _tell_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self.notice(text)
