"""Work that is open under keys: bounded, and shared by all threads."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

from attrs import define

from ..causality.causal_trace import CausalTraceId
from ..causality.standing import Standing, leave
from ..threads.forks import Forked
from .calls_here import OpenCall
from .kinds import Kind
from .place import Place

MAX_OPEN = 10_000
"""Pieces of work that are open at once under keys; beyond, the oldest is closed as expired. So many
are remembered after their end, too, for what begins below them later."""


class Stand(NamedTuple):
    """Where what belongs to a piece of work stands.

    Attributes:
        place: Inside it.
        trace: Its causal id; None: it has none, nor has what is around it.
    """

    place: Place
    trace: CausalTraceId | None


class Ending(NamedTuple):
    """How a piece of work ended.

    Attributes:
        told: What its payload says.
        timestamp_ns: When, in nanoseconds since the epoch; None: now.
    """

    told: dict[str, Any]
    timestamp_ns: int | None = None


@define(eq=False)
class OpenWork:
    """A piece of work under a key.

    Attributes:
        kind: Of the work.
        stand: Where what belongs to it stands.
        names: What its end repeats of its beginning's payload.
        start_ns: When it began, in nanoseconds since the epoch.
        began: The same by the clock that nobody sets, in seconds; None where its time was told.
        standing: Where the code stands in it that began it; None: nowhere.
        call: What code finds that asks for the call it is in; None: it is no call.
        is_written: Whether the event of its beginning was written.
        ending: How it ended, where that was told before.
    """

    kind: Kind
    stand: Stand
    names: dict[str, object]
    start_ns: int
    began: float | None
    standing: Standing | None = None
    call: OpenCall | None = None
    is_written: bool = False
    ending: Ending | None = None

    def let_go(self) -> None:
        """Have no code stand in it any more, nor find itself in it."""
        if self.call is not None:
            self.call.end()
        if self.standing is not None:
            leave(self.standing)


class KeyedTable:
    """Pieces of work by key.

    Nothing of others runs while the lock is held but the comparison of keys.
    """

    def __init__(self) -> None:
        self._start_empty()
        _tables.add(self)

    def _start_empty(self) -> None:
        # Re-entrant: the garbage collector and signals end work anywhere.
        self._lock = threading.RLock()
        # OrderedDicts give their first entry at once; dicts look over all that were deleted.
        self._open: OrderedDict[Hashable, OpenWork] = OrderedDict()
        self._ended: OrderedDict[Hashable, Stand] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def find(self, key: Hashable) -> Stand | None:
        """Give where what belongs to *key* stands, also after its end; None: it is unknown."""
        with self._lock:
            work = self._open.get(key)
            return self._ended.get(key) if work is None else work.stand

    def open_under(self, key: Hashable) -> OpenWork | None:
        """Give what is open under *key*."""
        with self._lock:
            return self._open.get(key)

    def add(self, key: Hashable, work: OpenWork) -> tuple[OpenWork, OpenWork | None]:
        """Add *work* unless *key* has some that is open.

        Returns:
            What is open under the key now; and what gave way to it, because it was the oldest of
            too many.
        """
        with self._lock:
            known = self._open.setdefault(key, work)
            if known is not work:
                return known, None
            self._ended.pop(key, None)
            if len(self._open) <= MAX_OPEN:
                return work, None
            return work, self.take(next(iter(self._open)))

    def take(self, key: Hashable) -> OpenWork | None:
        """Take out what is open under *key*, and remember where it stood."""
        with self._lock:
            work = self._open.pop(key, None)
            if work is not None:
                self._remember(key, work.stand)
        return work

    def defer(self, work: OpenWork, ending: Ending) -> bool:
        """Have who is still writing the beginning of *work* write *ending*; False: that is done."""
        with self._lock:
            if not work.is_written:
                work.ending = ending
            return not work.is_written

    def written(self, work: OpenWork) -> Ending | None:
        """Note that the beginning was written; give how the work ended meanwhile."""
        with self._lock:
            work.is_written = True
            return work.ending

    def let_go(self) -> None:
        """Have no code stand in what is open, which may still be taken."""
        with self._lock:
            open_ = list(self._open.values())
        for work in open_:
            work.let_go()

    def _remember(self, key: Hashable, stand: Stand) -> None:
        self._ended[key] = stand
        if len(self._ended) > MAX_OPEN:
            self._ended.popitem(last=False)

    def _begin_anew_after_fork(self) -> None:
        """Leave to the parent to end what it began; what begins here may belong below it."""
        open_, ended = self._open, self._ended
        self._start_empty()
        self._ended = ended
        for key, work in open_.items():
            self._remember(key, work.stand)


_tables = Forked(KeyedTable._begin_anew_after_fork)
