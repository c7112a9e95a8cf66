"""A history of events that a test has made, in memory; and questions about it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import define, field

from hypervisor_observability import HypervisorEvent, HypervisorEventBus
from hypervisor_observability.stores import EVERYTHING, Entry, Follower, Wanted
from hypervisor_web.mcp.answers.reading import Clock, Reading


@define(eq=False)
class Past:
    """A ``History`` of these events, in their order."""

    events_: Sequence[HypervisorEvent]
    on_read: Callable[[], object] = lambda: None
    given: int = field(default=0, init=False)
    place: str = "a list of a test"

    def runs(self) -> Sequence[str]:
        return ["run"]

    def events(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        runs: Iterable[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        numbered = [*enumerate(self.events_)]
        found = [Entry("run", number, one) for number, one in numbered if wanted.covers(one)]
        if limit is not None:
            found = found[max(0, len(found) - limit) :]
        for entry in reversed(found) if newest_first else found:
            self.on_read()
            self.given += 1
            yield entry

    def follow(self) -> Follower:
        raise AssertionError("a question is about the past: it follows nothing")

    def close(self) -> None:
        pass


def reading(events: Iterable[HypervisorEvent], **bounds: Any) -> Reading:
    """Read these events."""
    seconds = bounds.pop("seconds", 600.0)
    return Reading(Past([*events]), clock=Clock(seconds), **bounds)


@define(eq=False)
class Collected:
    """Keeps what a recorder writes to its bus."""

    bus: HypervisorEventBus = field(factory=HypervisorEventBus)

    @property
    def events(self) -> list[HypervisorEvent]:
        return self.bus.all_events
