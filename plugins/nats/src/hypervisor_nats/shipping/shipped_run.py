"""One run, on its way into the stream."""

import contextlib
from collections.abc import Iterator

from attrs import define, evolve

from hypervisor_journal.reading.raw_run import Place, RawRun
from hypervisor_nats.shipping.packing import Bounds, Packed, pack
from hypervisor_nats.shipping.positions import Reached


class UnreadableRunError(Exception):
    """A run cannot be read at present; others may."""


@define(eq=False)
class ShippedRun:
    """A run that is sent.

    Attributes:
        raw: The run.
        reached: How far it was sent.
        known: Whether it is known where the stream is; if not, it is asked first.
        end: Number behind its last event, as far as that is known.
        done: Whether it was sent with its end, or is gone.
        troubled: Whether its last turn failed, of itself.
        disputed: Whether the stream refuses its next message as a repeat, and does not have it.
    """

    raw: RawRun
    reached: Reached
    known: bool
    end: int = 0
    done: bool = False
    troubled: bool = False
    disputed: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.raw.run.path.name

    @property
    def waiting(self) -> int:
        """How many events are known to wait."""
        return max(0, self.end - self.reached.place.sequence)

    def look(self, ended: int | None) -> None:
        """Find out how far it goes.

        Args:
            ended: Number behind its last event, where that is known.

        Raises:
            OSError: It cannot be read at present.
        """
        self.end = max(self.end, self.raw.end if ended is None else ended)

    def oldest_ns(self) -> int:
        """Give the time of the first record that waits; 0 where there is none.

        Raises:
            OSError: It cannot be read at present.
        """
        first = next(self.raw.records(self.reached.place), None)
        return 0 if first is None else first.record.time_ns

    def pack(self, bounds: Bounds) -> Packed | None:
        """Pack what comes next; None: there is nothing at present.

        Raises:
            UnreadableRunError: It cannot be read at present.
        """
        with self._reading():
            return self._pack(bounds)

    def find(self, place: Place) -> Place | None:
        """Find where *place* is; None where no record with that chain value stands there.

        Raises:
            UnreadableRunError: It cannot be read at present.
        """
        with self._reading():
            return self.raw.find(place)

    def is_left(self, bounds: Bounds) -> bool:
        """Return whether it has no writer, and something waits; False if it cannot be read."""
        with contextlib.suppress(OSError, UnreadableRunError):
            return not self.raw.run.is_written() and self.pack(bounds) is not None
        return False

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnreadableRunError(f"run {self.name} cannot be read: {error}") from error

    def _pack(self, bounds: Bounds) -> Packed | None:
        self._locate()
        place = self.reached.place
        dead = not self.raw.run.is_written()  # asked first: what was written last is seen then
        if not dead and not self.raw.may_go_on(place):
            return None
        try:
            packed = pack(self.name, place, self.raw.records(place), bounds, dead=dead)
        except FileNotFoundError:
            if self.raw.run.path.exists():
                return None  # a segment went meanwhile: the next look goes on behind it
            end = evolve(place, sequence=place.sequence + self.waiting)
            packed = evolve(pack(self.name, end, (), bounds, dead=True), gone=self.waiting)
        if not packed.moves:
            return None
        self.end = max(self.end, packed.behind.sequence)
        return packed

    def _locate(self) -> None:
        """Find once where to go on, so that looks for more cost little."""
        if self.reached.place.segment < 0:
            with contextlib.suppress(FileNotFoundError):
                place = self.raw.find(self.reached.place)
                if place is not None:
                    self.reached = evolve(self.reached, place=place)

    def advance(self, packed: Packed, last: int) -> None:
        """Go behind a message that the stream has, or what was passed over.

        Args:
            packed: It.
            last: Sequence number of the message in the stream.
        """
        self.reached = evolve(self.reached, place=packed.behind, last=last)
        self.disputed = False
        self.done = packed.head is not None and packed.head.ended
