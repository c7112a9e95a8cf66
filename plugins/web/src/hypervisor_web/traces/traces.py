"""The traces that somebody looks at, each built once for all who do."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, field, frozen

from hypervisor_observability.facts.prices import Prices
from hypervisor_observability.facts.usage import cost_texts
from hypervisor_observability.serving.ending import Ending
from hypervisor_observability.stores import Entry, Wanted, trace_key, trace_of
from hypervisor_web.answers import json_bytes
from hypervisor_web.traces.columns import Columns, columns_of
from hypervisor_web.traces.kept import MOST_EVENTS, Kept, KeptTrace, in_order
from hypervisor_web.traces.looking import Past, traces_of
from hypervisor_web.traces.texts import MOST_CHARACTERS
from hypervisor_web.waiting import turn

_MOST_OPEN = 16
_MOST_EVENTS_IN_ALL = 400_000
_UNASKED_SECONDS = 300
"""How long a trace is kept that nobody asks for."""
_REST = 4
"""So many times as long as it took to build a trace does the server rest before it builds it
again: however large, a trace that changes all the time takes a fifth of a core."""


@frozen(eq=False)
class Built:
    """A trace as it stood.

    Attributes:
        key: Key of the trace.
        version: Another one says something else.
        body: The answer, as a JSON object.
        columns: What it was made of.
        events: The events that it was made of.
        seconds: How long it took to build.
        at: When it was built, by the monotonic clock.
    """

    key: str
    version: str
    body: bytes
    columns: Columns
    events: Sequence[Kept]
    seconds: float
    at: float

    @property
    def wait_seconds(self) -> float:
        """How long it has to do before it is built again."""
        return max(0.0, self.at + _REST * self.seconds - time.monotonic())

    def row_of_key(self, key: int) -> int | None:
        """Give the row that *key* names; None: there is none."""
        keys = self.columns.keys
        return keys.index(key) if key in keys else None

    def row_of_event(self, event_id: str) -> int | None:
        """Give the row that the event with this id is about; None: there is none."""
        places = (
            place for place, one in enumerate(self.events) if one.entry.event.event_id == event_id
        )
        place = next(places, None)
        return None if place is None else self.columns.parts.row_of(place)


@define(eq=False)
class _Open:
    """A trace that somebody looks at.

    Attributes:
        key: Its key.
        tag: Tells its versions from those of another reading.
        building: Held while it is read or built.
        trace: Its events; None until they have been read.
        early: What came while they were read.
        built: The newest build.
        asked_at: When somebody asked last, by the monotonic clock.
    """

    key: str
    tag: str = field(factory=lambda: secrets.token_hex(4))
    building: threading.Lock = field(factory=threading.Lock)
    trace: KeptTrace | None = None
    early: list[Entry] = field(factory=list)
    built: Built | None = None
    asked_at: float = field(factory=time.monotonic)


@define(eq=False)
class Traces:
    """The traces that are looked at; a board of the feed.

    Attributes:
        prices: To estimate costs that were not told; None: they are not estimated.
    """

    prices: Prices | None = None
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _open: OrderedDict[str, _Open] = field(factory=OrderedDict, init=False)
    _looking: threading.Lock = field(factory=threading.Lock, init=False)

    def take(self, entry: Entry, _: int) -> None:
        """Keep an event if somebody looks at its trace."""
        if not self._open:
            return
        with self._lock:
            opened = self._open.get(trace_of(entry.event) or "")
            if opened is None:
                return
            if opened.trace is None:
                opened.early.append(entry)
            else:
                opened.trace.take([entry])

    def find(self, past: Past, text: str, ending: Ending) -> Sequence[str]:
        """Give the keys of the traces that *text* names, as ``traces_of`` does; without a search
        if it is the whole id of a trace that is being viewed.
        """
        key = trace_key(text)
        if key in self._open:
            return [key]
        with turn(self._looking, ending):  # to read everything is work for one at a time
            return traces_of(past, text, ending)

    def built(self, past: Past, key: str, ending: Ending) -> Built | None:
        """Give the trace with *key* as it stands, or stood a moment ago; None if there is none.

        Args:
            past: What was recorded: read where nobody has looked at this trace yet.
            key: Key of the trace.
            ending: Set when nobody waits for the answer any longer.

        Raises:
            Refused: Nobody waits for the answer any longer.
        """
        opened = self._opened(key)
        with turn(opened.building, ending):
            trace = opened.trace or self._read(past, opened)
            if not trace.arrived:
                with self._lock:
                    self._open.pop(key, None)
                return None
            built = opened.built
            if built is None or (
                built.version != _version(opened, trace) and not built.wait_seconds
            ):
                built = opened.built = self._build(opened, trace)
            return built

    def is_behind(self, built: Built) -> bool:
        """Tell whether more has come than *built* holds."""
        opened = self._open.get(built.key)
        return (
            opened is not None
            and opened.trace is not None
            and built.version != _version(opened, opened.trace)
        )

    def _opened(self, key: str) -> _Open:
        now = time.monotonic()
        with self._lock:
            opened = self._open.pop(key, None) or _Open(key)
            opened.asked_at = now
            self._open[key] = opened
            events = [
                (one, 0 if one.trace is None else len(one.trace)) for one in self._open.values()
            ]
            total = sum(count for _, count in events)
            for one, count in events[:-1]:
                if (
                    len(self._open) > _MOST_OPEN
                    or total > _MOST_EVENTS_IN_ALL
                    or now - one.asked_at > _UNASKED_SECONDS
                ):
                    del self._open[one.key]
                    total -= count
            return opened

    def _read(self, past: Past, opened: _Open) -> KeptTrace:
        try:
            found = list(past(Wanted(trace=opened.key), MOST_EVENTS + 1))
            trace = KeptTrace(self.prices, older=len(found) > MOST_EVENTS)
            trace.take(found[-MOST_EVENTS:])
        except BaseException:
            with self._lock:
                self._open.pop(opened.key, None)
            raise
        with self._lock:
            trace.take(opened.early)
            opened.early.clear()
            opened.trace = trace
        return trace

    def _build(self, opened: _Open, trace: KeptTrace) -> Built:
        begun = time.thread_time()
        with self._lock:
            version, runs = _version(opened, trace), trace.runs()
            told, names = _told(trace), {} if trace.summary is None else dict(trace.summary.agents)
        events = list(in_order(runs))
        columns = columns_of(
            [one.entry.event for one in events],
            [one.arrival for one in events],
            opened.key,
            names,
            self.prices,
        )
        told["notices"] += columns.notices
        body = json_bytes(
            {
                "version": version,
                "id": opened.key,
                **told,
                "begun": columns.begun_us,
                **columns.told,
            }
        )
        took = time.thread_time() - begun
        return Built(opened.key, version, body, columns, events, took, time.monotonic())


def _version(opened: _Open, trace: KeptTrace) -> str:
    return f"{opened.tag}-{trace.arrived}"


def _told(trace: KeptTrace) -> dict[str, Any]:
    """Say what a summary of the trace says, as JSON has it."""
    summary = trace.summary
    assert summary is not None  # noqa: S101 - tells mypy: something arrived
    usage = summary.usage
    return {
        "trace": summary.trace_id,
        "root": summary.root[:MOST_CHARACTERS],
        "state": summary.outcome,
        "running": summary.running,
        "reason": summary.reason,
        "events": len(trace),
        "ended": summary.ended_ns // 1_000,
        "breaches": summary.breaches,
        "refusals": summary.refusals,
        "usage": {
            "tokens": usage.tokens,
            "cost": cost_texts(usage.cost, usage.estimated_cost),
        },
        "notices": list(_left_out(trace)),
    }


def _left_out(trace: KeptTrace) -> Iterator[str]:
    if trace.dropped:
        yield (
            f"the newest {len(trace):,} events are shown; left out: {trace.dropped:,} older"
            + ", and those before them" * trace.older
        )
    elif trace.older:
        yield f"the newest {len(trace):,} events are shown; left out: older ones"
