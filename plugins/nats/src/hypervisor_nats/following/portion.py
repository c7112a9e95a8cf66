"""What one message gives a reader, or a part of it."""

from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from hypervisor_nats.following.entries import Place
from hypervisor_nats.runs.checked_run import CheckedRun
from hypervisor_observability.events.event import HypervisorEvent

EXPIRED, UNVERIFIED = "expired", "unverified"


@frozen(eq=False)
class Portion:
    """What one message, or a part of it, gives a reader.

    Attributes:
        run: Name of the run; empty where the message is not from a shipper.
        before: The run as it was before the message; None where nothing was known of it.
        begin: The place before the first event.
        end: The place behind the last one.
        skips: How many events are passed over before the first one, by reason.
        events: The events.
        sequences: Their sequence numbers in the run.
        reply: Where the message is acknowledged, if this is its end.
        start: Position of the first event, or of the first one that is passed over.
    """

    run: str
    before: CheckedRun | None
    begin: Place
    end: Place
    skips: Mapping[str, int]
    events: Sequence[HypervisorEvent]
    sequences: Sequence[int]
    reply: str | None
    start: int = 0

    @property
    def skipped(self) -> int:
        """How many events are passed over."""
        return sum(self.skips.values())

    @property
    def stop(self) -> int:
        """Position behind it."""
        return self.start + self.skipped + len(self.events)

    def cut_rest(self, count: int, begin: Place) -> "Portion":
        """Give it from its event number *count* on, which is at the place *begin*."""
        return evolve(self, begin=begin, skips={}, events=self.events[count:],
                      sequences=self.sequences[count:])  # fmt: skip

    def cut(self, count: int) -> "tuple[Portion, Portion]":
        """Give it up to its event number *count*, and from there on."""
        between = Place(self.begin.sequence, self.sequences[count])
        return (
            evolve(self, end=between, events=self.events[:count],
                   sequences=self.sequences[:count], reply=None),
            evolve(self, begin=between, skips={}, events=self.events[count:],
                   sequences=self.sequences[count:], start=self.start + self.skipped + count),
        )  # fmt: skip
