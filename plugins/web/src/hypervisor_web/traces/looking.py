"""Which traces an id names: looked for in all that was recorded, for a bounded time."""

import time
from collections.abc import Callable, Iterator, Sequence

from attrs import define, field

from hypervisor_observability.events.event import HypervisorEvent
from hypervisor_observability.search.trace_lookup import find_traces
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.stores import Entry, Wanted, trace_of
from hypervisor_web.waiting import while_awaited

_MOST_OF_SESSION = 10_000
_MOST_SECONDS = 10.0

Past = Callable[[Wanted, int | None], Iterator[Entry]]
"""Gives the events that are wanted: only the newest so many, oldest first; or all, newest first."""


class OutOfTimeError(Exception):
    """An id was not found in the time that there is; the text says how far the search came."""


def traces_of(past: Past, text: str, ending: Ending) -> Sequence[str]:
    """Give the keys of the traces that *text* names, the newest first.

    Whole ids of traces and sessions have an index; for any other, all events are read, for ten
    seconds at most.

    Args:
        past: What was recorded.
        text: An id of a trace, saga, session or event, or the beginning of one.
        ending: Set when nobody waits for the answer any longer.

    Raises:
        AmbiguousIdError: Several ids begin with *text*.
        OutOfTimeError: None does among the newest events, and the older ones take too long.
        Refused: Nobody waits for the answer any longer.
    """
    looking = _Looking(past, ending)
    found = looking.of_session(text) or list(find_traces(looking.each, text))
    if looking.is_cut and not found:
        raise OutOfTimeError(f"the newest {looking.read:,} events")
    return found


@define(eq=False)
class _Looking:
    """A search for an id.

    Attributes:
        past: What was recorded.
        ending: Set when nobody waits any longer.
        read: How many events were read.
        is_cut: Whether there are others, for which there was no time.
    """

    past: Past
    ending: Ending
    read: int = 0
    is_cut: bool = False
    _until: float = field(factory=lambda: time.monotonic() + _MOST_SECONDS)

    def each(self, key: str | None) -> Iterator[HypervisorEvent]:
        """Give the events of a trace, or all; the newest first."""
        for entry in while_awaited(self.past(Wanted(trace=key), None), self.ending):
            if time.monotonic() > self._until:
                self.is_cut = True
                return
            self.read += 1
            yield entry.event

    def of_session(self, session: str) -> list[str]:
        """Give the traces of the newest events of a session."""
        found = list(self.past(Wanted(session_id=session), _MOST_OF_SESSION))
        keys = (trace_of(entry.event) for entry in reversed(found))
        return [key for key in dict.fromkeys(keys) if key is not None]
