"""Records of a run, packed into messages by the rules of ``messages``. No I/O.

Invariants:

* A message holds records that follow each other in the chain, and no others.
* It ends behind a record that takes a number, unless the run ends with it. Records that take none
  are kept with the one behind them: both go, or neither.
* Where the chain begins again, numbers are missing: otherwise a reader would take it for forged.
  So if records without a number are skipped, the next one with a number is skipped, too.
"""

from collections.abc import Iterable

from attrs import define, evolve, field, frozen

from hypervisor_journal.format.frames import EVENT, Record
from hypervisor_journal.reading.raw_run import Place, Raw
from hypervisor_nats.messages import Head


@frozen
class Bounds:
    """What a message may hold.

    Attributes:
        max_events: Most events in it.
        max_bytes: Most bytes of records in it; a single event may have more.
        limit_bytes: Most bytes that the server takes at all. An event that has more is passed over.
    """

    max_events: int
    max_bytes: int
    limit_bytes: int


@frozen
class Packed:
    """A message, and what was passed over before it.

    Attributes:
        head: Its headers; None: there is no message, only something to pass over.
        data: Its records.
        behind: The place behind it, and behind all that was passed over.
        gone: Events before it that the journal does not have any more, or that are damaged.
        too_large: Events before it that the server refuses.
    """

    head: Head | None
    data: bytes
    behind: Place
    gone: int = 0
    too_large: int = 0

    @property
    def moves(self) -> bool:
        """Whether there is a message, or something was passed over."""
        return self.head is not None or self.gone > 0 or self.too_large > 0


def pack(run: str, place: Place, raws: Iterable[Raw], bounds: Bounds, *, dead: bool) -> Packed:
    """Pack the message that comes next.

    Args:
        run: Name of the run.
        place: Behind what was packed before.
        raws: What comes behind that, as far as it takes.
        bounds: Of the message.
        dead: Whether nobody writes the run: then the end of *raws* is its end.
    """
    packing = _Packing(place, bounds)
    whole = all(map(packing.take, raws))
    return packing.packed(run, ends=dead and whole)


@define(eq=False)
class _Packing:
    """A message in the making.

    Attributes:
        place: Behind what is in it, or was passed over.
        bounds: Its bounds.
    """

    place: Place
    bounds: Bounds
    _chain: bytes = field(init=False)
    """Behind the last record that was looked at."""
    _begin: Place = field(init=False)
    _taken: list[Record] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _events: int = field(default=0, init=False)
    _gone: int = field(default=0, init=False)
    _too_large: int = field(default=0, init=False)
    # A record that takes a number in the making, with those before it that take none.
    _unit: list[Record] = field(factory=list, init=False)
    _unit_begin: Place = field(init=False)
    _unit_bytes: int = field(default=0, init=False)
    _unit_broken: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._chain = self.place.chain
        self._begin = self._unit_begin = self.place

    def take(self, raw: Raw) -> bool:
        """Take a record in, or pass it over; False: the message is to go without it."""
        record = raw.record
        if raw.before.chain != self._chain:
            if self._taken:
                return False
            gone = max(0, record.sequence - self.place.sequence)
            self._gone += gone
            # Where there is no gap in the numbers, one has to be made; until then the run is where
            # it was.
            self._begin_unit(evolve(raw.before, sequence=record.sequence), broken=not gone)
            self.place = self._unit_begin if gone else self.place
        self._chain = record.chain
        if self._unit_bytes <= self.bounds.limit_bytes:  # what is too large is not kept
            self._unit.append(record)
        self._unit_bytes += record.size
        return raw.behind.sequence == record.sequence or self._take_unit(raw)

    def _take_unit(self, raw: Raw) -> bool:
        """Take in the record that ends a unit, with those before it."""
        is_event = raw.record.kind == EVENT
        if self._unit_broken or self._unit_bytes > self.bounds.limit_bytes:
            if self._taken:
                return False
            self._gone += is_event and self._unit_broken
            self._too_large += is_event and not self._unit_broken
            self._pass_over(raw.behind)
            return True
        if self._taken and self._size + self._unit_bytes > self.bounds.max_bytes:
            return False
        if not self._taken:
            self._begin = self._unit_begin
        self._taken += self._unit
        self._size += self._unit_bytes
        self._events += is_event
        self._pass_over(raw.behind)
        return self._events < self.bounds.max_events and self._size < self.bounds.max_bytes

    def _pass_over(self, behind: Place) -> None:
        self.place = behind
        self._begin_unit(behind)

    def _begin_unit(self, place: Place, *, broken: bool = False) -> None:
        self._unit.clear()
        self._unit_begin, self._unit_bytes, self._unit_broken = place, 0, broken

    def packed(self, run: str, *, ends: bool) -> Packed:
        """Give what was packed.

        Args:
            run: Name of the run.
            ends: Whether the run ends here.
        """
        records, begin, chain = self._taken, self._begin, self.place.chain
        fits = self._size + self._unit_bytes <= self.bounds.limit_bytes
        if ends and fits and not self._unit_broken and (records or self._unit):
            # Those that take no number, at the end of the run.
            begin = begin if records else self._unit_begin
            records = [*records, *self._unit]
        if not records:
            begin = self.place
        times = [record.time_ns for record in records if record.kind == EVENT]
        first = records[0].sequence if records else self.place.sequence
        head = Head(
            run=run,
            first=first,
            next=self.place.sequence,
            count=len(times),
            chain=begin.chain,
            then=chain if self._taken else begin.chain,
            from_ns=min(times, default=0),
            until_ns=max(times, default=0),
            ended=ends,
        )
        return Packed(
            head if records or ends else None,
            b"".join([record.to_bytes() for record in records]),
            self.place,
            self._gone,
            self._too_large,
        )
