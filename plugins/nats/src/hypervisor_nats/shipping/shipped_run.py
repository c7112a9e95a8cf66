"""One run, on its way into the stream."""

import contextlib

from attrs import define, evolve, field

from hypervisor_journal.reading.raw_run import RawRun
from hypervisor_nats.shipping.packing import Bounds, Packed, pack
from hypervisor_nats.shipping.positions import Reached


@define(eq=False)
class ShippedRun:
    """A run that is sent.

    Attributes:
        raw: The run.
        reached: How far it was sent.
        end: Number behind its last event, as far as that is known.
        done: Whether it was sent with its end, or is gone.
        disputed: Whether the stream refuses its next message as a repeat, and does not have it.
        oldest_ns: Time of its oldest record that waits; 0: none is known.
    """

    raw: RawRun
    reached: Reached
    end: int = 0
    done: bool = False
    disputed: bool = False
    oldest_ns: int = field(default=0, init=False)

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

    def pack(self, bounds: Bounds) -> Packed | None:
        """Pack what comes next; None: there is nothing at present.

        Raises:
            OSError: It cannot be read at present.
        """
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
            packed = pack(self.name, place, (), bounds, dead=True)
            packed = evolve(packed, gone=self.waiting)
        if packed.head is None and not packed.moves:
            self.oldest_ns = 0
            return None
        self.oldest_ns = packed.oldest_ns
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
        self.disputed, self.oldest_ns = False, 0
        self.done = packed.head is not None and packed.head.ended
